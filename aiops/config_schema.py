"""The configuration schema as a flat list of settings, in words people read.

Errors (`config_file.py`) and the reference page (`config_reference.py`) both speak of a setting
by its dotted path, what it means and what it allows; this is where those words come from.
"""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from annotated_types import Ge, Le, MinLen
from pydantic.fields import FieldInfo

from aiops.config import Config
from aiops.config_section import Section

ITEM = "[]"
"""Stands for any position of a list in a setting's path: `notify.receivers[].url`."""

_WORDS: dict[type, str] = {
    str: "text",
    Path: "a path",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
_PLURALS: dict[type, str] = {
    str: "texts",
    float: "numbers",
    Path: "paths",
    date: "dates, YYYY-MM-DD",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of the schema.

    Parameters
    ----------
    path
        Dotted path, with `[]` for the items of a list.
    meaning
        One line without a full stop.
    allowed
        What values it takes, for people: `a whole number from 1 to 10`.
    default
        The value without any configuration; None where one has to be given.
    is_required
        Whether whoever writes its section has to write it.
    section
        The section it is made of, or whose list it is; None for plain values.
    is_list
        Whether it holds a list.
    is_scalar
        Whether one environment variable can hold it.
    """

    path: str
    meaning: str
    allowed: str
    default: object
    is_required: bool
    section: type[Section] | None
    is_list: bool
    is_scalar: bool

    @property
    def variable(self) -> str:
        """The environment variable that overlays it, whether or not that is possible."""
        return "AIOPS_" + self.path.upper().replace(".", "_")


def settings_of(section: type[Section] = Config, prefix: str = "") -> Iterator[Setting]:
    """Yield every setting in the order of the schema, each section before its own fields."""
    for name, info in section.model_fields.items():
        setting = _setting(prefix + name, info)
        yield setting
        if setting.section is not None:
            inner = setting.path + (ITEM if setting.is_list else "")
            yield from settings_of(setting.section, inner + ".")


def all_settings() -> dict[str, Setting]:
    """Return every setting by its path."""
    return {setting.path: setting for setting in settings_of()}


def _setting(path: str, info: FieldInfo) -> Setting:
    annotation = _without_none(info.annotation)
    item = _item_type(annotation)
    section = _as_section(item or annotation)
    return Setting(
        path=path,
        meaning=info.description or (_first_line(section) if section else ""),
        allowed=_allowed(annotation, info),
        default=None if info.is_required() else info.get_default(call_default_factory=True),
        is_required=info.is_required(),
        section=section,
        is_list=item is not None,
        is_scalar=annotation in _WORDS or typing.get_origin(annotation) is typing.Literal,
    )


def _without_none(annotation: object) -> object:
    if isinstance(annotation, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if part is not types.NoneType]
        if len(rest) == 1:
            return rest[0]
    return annotation


def _item_type(annotation: object) -> object | None:
    """Return what a list holds, None when the annotation is not a list."""
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is tuple else None


def _as_section(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None


def _first_line(section: type[Section]) -> str:
    text = (section.__doc__ or "").strip().split("\n", maxsplit=1)[0].rstrip(".")
    return text[:1].lower() + text[1:]


def _allowed(annotation: object, info: FieldInfo) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) is dict:
        return "a mapping from names to numbers, texts, true or false"
    if (item := _item_type(annotation)) is not None:
        return _allowed_list(item, info)
    if (section := _as_section(annotation)) is not None:
        return "a mapping of " + ", ".join(section.model_fields)
    assert isinstance(annotation, type), f"BUG: no words for {annotation}"
    return _WORDS[annotation] + _pattern(info) + _range(info)


def _allowed_list(item: object, info: FieldInfo) -> str:
    section = _as_section(item)
    if section is not None:
        words = "mappings of " + ", ".join(section.model_fields)
    else:
        assert isinstance(item, type), f"BUG: no words for a list of {item}"
        words = _PLURALS[item]
    least = [part.min_length for part in info.metadata if isinstance(part, MinLen)]
    return f"a list of {words}" + (f", at least {least[0]}" if least else "")


def _pattern(info: FieldInfo) -> str:
    found = [part.pattern for part in info.metadata if getattr(part, "pattern", None)]
    return f" that matches {found[0]}" if found else ""


def _range(info: FieldInfo) -> str:
    low = [part.ge for part in info.metadata if isinstance(part, Ge)]
    high = [part.le for part in info.metadata if isinstance(part, Le)]
    if low and high:
        return f" from {low[0]} to {high[0]}"
    return f" of {low[0]} or more" if low else f" of {high[0]} or less" if high else ""
