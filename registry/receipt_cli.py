"""`k0rdentd store receipt`."""

from pathlib import Path

import click

from registry.options import storage_option
from registry.path_name import PathName
from registry.storage.store import Store
from registry.text import printable
from registry.transfer.output import write_file
from registry.transfer.receipt import Receipt
from registry.transfer.source import StoreSource
from registry.units import counted, human


@click.command()
@click.argument("out", type=PathName(dir_okay=False))
@storage_option
def receipt(out: Path, storage: tuple[Path, ...]) -> None:
    """Write to OUT, as JSON, what the store holds: its tags and the blobs that they need.

    Carry it to where bundles are made: 'k0rdentd bundle create --since OUT' leaves out what is in it.
    """
    found = Receipt.collect(StoreSource(Store.open(storage, create=False)))
    body = found.to_bytes()
    write_file(out, (body,), len(body))
    content = f"{counted(len(found.tags), 'tag')} and {counted(len(found.blobs), 'blob')}"
    click.echo(f"{content} in {printable(str(out))}: {human(len(body))}", err=True)
