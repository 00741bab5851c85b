"""What the sections of the configuration file share: camelCase keys, no unknown ones, and remarks."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

_ACRONYMS = frozenset({"cidr", "id", "url"})


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """One thing about one key; `path` is written as in `k0rdent.credentials.aws[0].name`."""

    path: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        sentence = f"{self.path}: {self.what}" if self.path else self.what
        return f"{sentence}; {self.fix}" if self.fix else sentence


def camel(name: str) -> str:
    """`peer_address` to `peerAddress`, `pod_cidr` to `podCIDR`."""
    first, *rest = name.split("_")
    return first + "".join(part.upper() if part in _ACRONYMS else part.capitalize() for part in rest)


def remark(info: ValidationInfo, path: str, what: str, fix: str = "") -> None:
    """Note what cannot work, for whoever validates with a list of remarks as the context."""
    if isinstance(info.context, list):
        info.context.append(Remark(path, what, fix))


def read_secret(file: Path) -> str:
    """What a file with a secret holds, without the end of its line.

    Raises:
        OSError: it cannot be read, is empty, or holds what is no text.
    """
    try:
        text = file.read_text().strip()
    except ValueError as error:
        raise OSError(errno.EILSEQ, "it holds what is no text", str(file)) from error
    if not text:
        raise OSError(errno.ENODATA, "it is empty", str(file))
    return text


class Section(BaseModel):
    """A mapping of the file. What is empty (null, "", the port 0 of earlier exports) is not said."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=camel, validate_by_name=True, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_empty(cls, said: object) -> object:
        if said is None:
            return {}
        if not isinstance(said, Mapping):
            return said
        return {key: value for key, value in said.items() if not _is_empty(key, value)}


def _is_empty(key: object, value: object) -> bool:
    return value is None or value == "" or (key == "port" and value == 0)
