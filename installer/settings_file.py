"""From the configuration file and the environment to `Settings`; all that is wrong is found at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from installer.config import ConfigurationInvalid, read_config
from installer.settings import Settings
from installer.settings_base import Remark

# What earlier versions read from the environment, and `K0RDENTD_REGISTRY_…` of the daemon beside it.
_ENVIRONMENT = {
    "K0RDENTD_K0S_VERSION": ("k0s", "version"),
    "K0RDENTD_K0RDENT_VERSION": ("k0rdent", "version"),
    "K0RDENTD_AIRGAP_BUNDLE_PATH": ("airgap", "bundlePath"),
    "K0RDENTD_REGISTRY_ADDRESS": ("airgap", "registry", "address"),
}
_KNOWN = frozenset(field.alias or name for name, field in Settings.model_fields.items())


class SettingsInvalid(ConfigurationInvalid):
    """Keys of the configuration file cannot be used; all of them are named."""

    def __init__(self, source: Path, problems: Sequence[Remark]) -> None:
        super().__init__(f"{source}: " + "; ".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that will do, and what had to be put right for that."""

    settings: Settings
    remarks: tuple[Remark, ...] = ()


def load_settings(path: Path, environment: Mapping[str, str], *, required: bool) -> Loaded:
    """The file's settings; what the environment says wins over them.

    Raises:
        ConfigurationInvalid: the file cannot be read, or is no YAML.
        SettingsInvalid: something in it cannot be used.
    """
    sections = read_config(path, required=required)
    for name, keys in _ENVIRONMENT.items():
        if environment.get(name):
            sections = _with(sections, keys, environment[name])
    return parse_settings(sections, path)


def parse_settings(sections: Mapping[str, object], source: Path) -> Loaded:
    """The installer's part of the sections; those of other commands are passed over.

    Raises:
        SettingsInvalid: something in it cannot be used.
    """
    remarks: list[Remark] = []
    own = {key: value for key, value in _moved(sections, remarks).items() if key in _KNOWN}
    try:
        settings = Settings.model_validate(own, context=remarks)
    except ValidationError as error:
        raise SettingsInvalid(source, sorted(_problem(each) for each in error.errors())) from error
    return Loaded(settings, tuple(dict.fromkeys(remarks)))


def _with(section: Mapping[str, object], keys: Sequence[str], value: str) -> dict[str, object]:
    """The section with one value more, some levels down."""
    first, *rest = keys
    below = section.get(first)
    return {**section, first: _with(below if isinstance(below, Mapping) else {}, rest, value) if rest else value}


def _moved(sections: Mapping[str, object], remarks: list[Remark]) -> Mapping[str, object]:
    """`credentials` at the top, as an earlier example has it, belongs below `k0rdent`."""
    k0rdent = sections.get("k0rdent") or {}
    if "credentials" not in sections or not isinstance(k0rdent, Mapping) or k0rdent.get("credentials"):
        return sections
    remarks.append(Remark("credentials", "stands at the top; it is read as k0rdent.credentials", "move it there"))
    return {**sections, "k0rdent": {**k0rdent, "credentials": sections["credentials"]}}


def _problem(error: ErrorDetails) -> Remark:
    path = _path(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return Remark(path, "unknown key", _suggestion(error["loc"]))
        case "missing":
            return Remark(path, "is missing")
        case "string_type" if isinstance(error["input"], int | float):
            return Remark(path, f"{error['input']} is a number and must be text", "put it in quotes")
        case "model_type" | "dict_type" | "mapping_type" | "model_attributes_type":
            return Remark(path, "must be a mapping of keys")
    said = error["msg"].removeprefix("Value error, ")
    return Remark(path, said[:1].lower() + said[1:] if said.startswith("Input ") else said)


def _path(loc: Sequence[str | int]) -> str:
    """`a.b[0].c`; the arms of unions, which pydantic names too, are no keys."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() and not part.startswith("IPv"):
            text += f".{part}"
    return text.removeprefix(".")


def _suggestion(loc: Sequence[str | int]) -> str:
    """What may have been meant, of the keys that are known there."""
    known = sorted(_keys(loc[:-1]))
    near = get_close_matches(str(loc[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def _keys(loc: Sequence[str | int]) -> set[str]:
    """The keys of the section at that place."""
    model: type[BaseModel] = Settings
    for part in loc:
        if isinstance(part, str):
            model = next(
                _section(field.annotation) for name, field in model.model_fields.items() if field.alias == part
            )
    return {field.alias or name for name, field in model.model_fields.items()}


def _section(annotation: object) -> type[BaseModel]:
    """The model in `Model`, `Model | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arms = getattr(annotation, "__args__", ())
    return next(arm for arm in arms if isinstance(arm, type) and issubclass(arm, BaseModel))
