"""Everything that is wrong with a document, at once, each in a sentence with its place.

pydantic does not look at how keys go together while one of them is wrong. So something else is put where a mistake was
found, or it is taken out, and the document is looked at again, until nothing more is found.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Self

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from installer.settings import Settings
from installer.settings_base import Remark

# What pydantic says in the words of Python.
_WORDS = {
    **dict.fromkeys(("model_type", "dict_type", "mapping_type", "model_attributes_type"), "must be a mapping of keys"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    "tuple_type": "must be a list",
    "string_type": "must be text",
    "path_type": "must be a path",
    "ip_any_address": "is no IP address",
    "literal_error": "must be {expected}",
    "less_than_equal": "must be {le} at most",
    "greater_than_equal": "must be {ge} at least",
}
# One of them does for every key that has to be there: text and names, addresses, the mode in which a node joins.
_STAND_INS = ("x{}", "https://x{}", "worker")
_UNIQUE = "names are unique over all clouds"

Place = tuple[str | int, ...]
"""Keys, and numbers in lists, from the top of the document."""


def mistakes(document: Mapping[str, object], remarks: list[Remark]) -> set[Remark]:
    """All of them; what is noted about the rest is added to `remarks`."""
    doubled = dict(_doubled_names(document))
    found = {
        Remark(_path(place), f"another account is called {name!r} too", _UNIQUE) for place, name in doubled.items()
    }
    found |= {_problem(error, place) for place, error in _Rest(document).found([]).items() if place in doubled}
    rest = _Rest(document, put=dict.fromkeys(doubled, 0))
    while errors := rest.found(remarks):
        found |= {_problem(error, place) for place, error in errors.items() if not rest.explains(error, place)}
        rest = rest.without(errors)
    return found


def _doubled_names(document: Mapping[str, object]) -> Iterator[tuple[Place, str]]:
    """Names that an earlier account has; the accounts may be wrong in themselves."""
    seen: set[str] = set()
    for place, name in _account_names(document):
        if name in seen:
            yield place, name
        seen.add(name)


def _account_names(document: Mapping[str, object]) -> Iterator[tuple[Place, str]]:
    credentials = _mapping(_mapping(document.get("k0rdent")).get("credentials"))
    for cloud, accounts in credentials.items():
        for number, account in enumerate(accounts if isinstance(accounts, list) else ()):
            name = _mapping(account).get("name")
            if isinstance(name, str):
                yield ("k0rdent", "credentials", str(cloud), number, "name"), name


def _mapping(value: object) -> Mapping[object, object]:
    return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is left of a document."""

    document: Mapping[str, object]
    gone: frozenset[Place] = frozenset()
    put: Mapping[Place, int] = field(default_factory=dict)
    """Keys whose value is something else for the time being, and which of those that can be."""

    def found(self, remarks: list[Remark]) -> Mapping[Place, ErrorDetails]:
        """What pydantic finds in it, and where; what it remarks is added, unless we said it ourselves."""
        noted: list[Remark] = []
        errors: list[ErrorDetails] = []
        try:
            Settings.model_validate(self.left((), self.document), context=noted)
        except ValidationError as error:
            errors = error.errors()
        ours = set(map(_path, self.put))
        remarks += [each for each in noted if each.path not in ours]
        return {self.place(each["loc"]): each for each in errors}

    def left(self, here: Place, value: object) -> object:
        """A part of the document as it is now."""
        if here in self.gone:
            return {}
        if isinstance(value, Mapping):
            kept = {key: (*here, key) for key in value if (*here, key) not in self.gone}
            more = {place[-1]: self._stand_in(place) for place in self.put if place[:-1] == here}
            return {key: self.left(place, value[key]) for key, place in kept.items()} | more
        if isinstance(value, list):
            places = [((*here, number), each) for number, each in enumerate(value)]
            return [self.left(place, each) for place, each in places if place not in self.gone]
        return value

    def place(self, loc: Place) -> Place:
        """Where that is in the whole document; the arms of unions, which pydantic names too, are no keys."""
        found: Place = ()
        for part in loc:
            if isinstance(part, int):
                numbers = range(part + len(self.gone) + 1)
                found = (*found, [each for each in numbers if (*found, each) not in self.gone][part])
            elif part.isidentifier() and not part.startswith("IPv"):
                found = (*found, part)
        return found

    def explains(self, error: ErrorDetails, place: Place) -> bool:
        """Whether there is that mistake only because of what was taken out or put in."""
        touched = self.gone | self.put.keys()
        words = re.findall(r"\w+", error["msg"])
        return place in touched or any(each[:-1] == place and each[-1] in words for each in touched if each)

    def without(self, errors: Mapping[Place, ErrorDetails]) -> Self:
        """Another one, so that none of these is found again."""
        gone, put = set(self.gone), dict(self.put)
        for place, error in errors.items():
            following = put.pop(place, -1) + 1
            if _can_be_another(place, error) and place not in gone and following < len(_STAND_INS):
                put[place] = following
            else:
                gone.add(place[:-1] if place in gone else place)
        return type(self)(self.document, frozenset(gone), put)

    def _stand_in(self, place: Place) -> str:
        return _STAND_INS[self.put[place]].format(list(self.put).index(place))


def _can_be_another(place: Place, error: ErrorDetails) -> bool:
    """Whether it is about one value, and not about what keys there are, or how those of a section go together."""
    if not place or isinstance(place[-1], int) or error["type"] == "extra_forbidden":
        return False
    return error["type"] == "missing" or not isinstance(error["input"], Mapping) or error["type"] != "value_error"


def _problem(error: ErrorDetails, place: Place) -> Remark:
    path = _path(place)
    match error["type"]:
        case "extra_forbidden":
            return Remark(path, "unknown key", _suggestion(place))
        case "missing":
            return Remark(path, "is missing")
        case "string_type" if isinstance(error["input"], int | float):
            return Remark(path, "is a number and must be text", "put it in quotes")
    said = _WORDS.get(error["type"])
    return Remark(path, said.format(**error.get("ctx", {})) if said else error["msg"].removeprefix("Value error, "))


def _path(place: Place) -> str:
    """`a.b[0].c`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _suggestion(place: Place) -> str:
    """What may have been meant, of the keys that are known there."""
    known = sorted(_keys(place[:-1]))
    near = get_close_matches(str(place[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def _keys(place: Place) -> set[str]:
    """The keys of the section at that place."""
    model: type[BaseModel] = Settings
    for part in place:
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
