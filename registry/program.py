"""How this program was started, and how it starts itself again.

The executable unpacks a runtime and becomes its Python. Children run out of the same runtime, since the
executable may be replaced by a newer one meanwhile; whatever starts later (a unit, a new program after
SIGUSR2) is to take the newer one.
"""

import os
import sys
from pathlib import Path

# The launcher says it; the file tells a runtime from another Python that inherited the variable.
_VARIABLE = "K0RDENTD_EXECUTABLE"
_MARK = "RUNTIME"


def executable() -> Path | None:
    """The executable that this program came out of; None where it was installed otherwise."""
    said = os.environ.get(_VARIABLE)
    return Path(said) if said and Path(sys.prefix, _MARK).exists() else None


def child_command() -> list[str]:
    """The `k0rdentd` of this very version, for a process beside this one."""
    flags = [*(["-I"] if sys.flags.isolated else []), *(["-S"] if sys.flags.no_site else [])]
    return [sys.executable, *flags, "-m", "installer.command"]


def own_command() -> list[str]:
    """How this program was called, without its arguments."""
    packed = executable()
    called = Path(sys.argv[0]).absolute()
    if packed is not None:
        return [str(packed)]
    if os.access(called, os.X_OK):
        return [str(called)]
    return [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv[1:])]]


def again() -> list[str]:
    """This program anew, with its arguments: the executable as it is now, or the same Python."""
    packed = executable()
    return [str(packed), *sys.argv[1:]] if packed is not None else [sys.executable, *sys.orig_argv[1:]]
