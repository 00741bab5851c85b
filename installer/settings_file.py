"""From the configuration file and the environment to `Settings`; all that is wrong is found at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from installer.config import ConfigurationInvalid, read_config
from installer.settings import Settings
from installer.settings_base import Remark
from installer.settings_mistakes import mistakes

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

    def __init__(self, source: Path, problems: Sequence[Remark], remarks: Sequence[Remark] = ()) -> None:
        super().__init__(f"{source}: " + "; ".join(map(str, problems)))
        self.problems, self.remarks = tuple(problems), tuple(remarks)


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
    said = {name: keys for name, keys in _ENVIRONMENT.items() if environment.get(name)}
    for name, keys in said.items():
        sections = _with(sections, keys, environment[name])
    try:
        return parse_settings(sections, path)
    except SettingsInvalid as error:
        sources = {".".join(keys): f"the environment says it, as {name}" for name, keys in said.items()}
        problems = [replace(each, fix=sources.get(each.path, each.fix)) for each in error.problems]
        raise SettingsInvalid(path, problems, error.remarks) from error


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
        problems = sorted(mistakes(own, remarks))
        raise SettingsInvalid(source, problems, tuple(dict.fromkeys(remarks))) from error
    return Loaded(settings, tuple(dict.fromkeys(remarks)))


def anchored(settings: Settings, folder: Path) -> Settings:
    """The settings with paths as seen from the folder of their file, so that an export can be put anywhere."""
    access, join = settings.airgap.registry, settings.join
    if access.ca_file is not None:
        access = access.model_copy(update={"ca_file": folder / access.ca_file})
    if join is not None and join.token_file is not None:
        join = join.model_copy(update={"token_file": folder / join.token_file})
    airgap = settings.airgap.model_copy(update={"registry": access})
    return settings.model_copy(update={"airgap": airgap, "join": join})


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
