"""A bundle's life with one store: loaded with and without its signature, loaded again, killed and gone on with."""

import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

from bench.load import Contender, load
from bench.process import k0rdentd
from bench.signing import sign_with_a_fresh_key
from bench.stock import Bundle

NO_VERIFY, VERIFY = "--no-verify", "--verify"
_KILL_AT = 0.8
_SECONDS = 600


def phases(bundle: Bundle) -> tuple[Contender, ...]:
    """Each phase with and without a signature, the plain load first."""
    key = _key(bundle)
    return tuple(
        Contender(f"{name}, {way}", bundle, partial(seconds, options))
        for name, seconds in (("load", _load), ("second load", _second), ("rest after a kill", _rest))
        for way, options in ((NO_VERIFY, (NO_VERIFY,)), (VERIFY, (VERIFY, "--cosign-key", str(key))))
    )


def _key(bundle: Bundle) -> Path:
    """The public key of the bundle's signature, which is made if there is none."""
    public = bundle.path.with_name("cosign.pub")
    if not public.exists():
        sign_with_a_fresh_key(bundle.path, public)
    return public


def _load(options: tuple[str, ...], bundle: Bundle, folder: Path) -> float:
    return load(bundle, folder, options)


def _second(options: tuple[str, ...], bundle: Bundle, folder: Path) -> float:
    """Seconds of the load that finds everything there."""
    load(bundle, folder, options)
    os.sync()
    return load(bundle, folder, options)


def _rest(options: tuple[str, ...], bundle: Bundle, folder: Path) -> float:
    """Seconds of the load that goes on where another one was killed with 80 % of the bundle read."""
    command = k0rdentd("load", bundle.path, "-s", folder / "storage", "--progress", "json", *options)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    assert process.stdout is not None
    with process.stdout as told:
        for line in told:
            found = json.loads(line)
            if found["position"] >= _KILL_AT * found["bundle_size"]:
                break
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_SECONDS)
    os.sync()
    return load(bundle, folder, options)
