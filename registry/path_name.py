"""Files and directories as the command line names them."""

import os
from pathlib import Path
from typing import Any

import click


class PathName(click.Path):
    """A path; never the empty word that a variable leaves which is not set, for that is the directory we are in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("an empty word is no path: is a variable not set?", param, ctx)
        return super().convert(value, param, ctx)


class NewFile(PathName):
    """A file that is written when long work is done: what cannot be written is told before it begins."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            self.fail(f"{path.parent} is no directory that files can be written to", param, ctx)
        return path
