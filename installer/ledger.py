"""Images that clients asked this machine's registry for in vain, as `k0rdentd store missing` tells."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from installer.errors import CommandFailed
from installer.host import K0RDENTD, Host


@dataclass(frozen=True, slots=True)
class Missing:
    """One of them, and how often, when last and by whom it was asked for."""

    image: str
    count: int
    last: str
    client: str


def missing_images(host: Host, roots: Sequence[Path]) -> list[Missing]:
    """The newest first; none where there is no store.

    Raises:
        CommandFailed: the store does not tell.
    """
    there = [host.at(root) for root in roots if host.look(root / "VERSION") is not None]
    if not there:
        return []
    command = [*K0RDENTD, "store", "missing", "--json", *(part for root in there for part in ("-s", str(root)))]
    ended = Host(environment=host.environment).run(command)
    if ended.code != 0:
        raise CommandFailed(f"'k0rdentd store missing' failed: {ended.last_words}")
    try:
        return [_parse(each) for each in json.loads(ended.text)]
    except (ValueError, KeyError, TypeError) as error:
        raise CommandFailed(f"'k0rdentd store missing' tells what nobody understands: {ended.text[:200]!r}") from error


def _parse(document: dict[str, object]) -> Missing:
    reference = str(document["reference"])
    upstream = f"{document['upstream']}/" if document["upstream"] else ""
    image = f"{upstream}{document['repository']}{'@' if ':' in reference else ':'}{reference}"
    return Missing(image, int(str(document["count"])), str(document["last"]), str(document["client"]))
