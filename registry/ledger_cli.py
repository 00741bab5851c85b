"""`k0rdentd store missing`."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from registry.options import json_option, storage_option
from registry.storage.misses import Miss
from registry.storage.store import Store


@click.command()
@storage_option
@json_option
@click.option("--clear", is_flag=True, help="Forget them, once they are shown.")
def missing(storage: tuple[Path, ...], as_json: bool, clear: bool) -> None:  # noqa: FBT001
    """List images that clients asked for and that are still not here, the newest first.

    A running registry writes its last two seconds down in a moment.
    """
    store = Store.open(storage, create=False)
    _show(store.ledger.still_missing(), as_json=as_json)
    if clear:
        store.ledger.clear()
    store.close()


def _show(misses: Sequence[Miss], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_document(miss) for miss in misses]))
        return
    for miss in misses:
        times = "once" if miss.count == 1 else f"{miss.count} times"
        click.echo(f"{miss.wanted}  {times}  last {_when(miss.last)} by {miss.client}  first {_when(miss.first)}")


def _document(miss: Miss) -> dict[str, object]:
    wanted = miss.wanted
    return {
        "upstream": wanted.upstream,
        "repository": wanted.repository,
        "reference": str(wanted.reference),
        "count": miss.count,
        "first": _when(miss.first),
        "last": _when(miss.last),
        "client": miss.client,
    }


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
