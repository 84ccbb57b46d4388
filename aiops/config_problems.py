"""What is wrong with a configuration, in sentences: where, what was found, what is allowed."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aiops.config_schema import ITEM, Setting, all_settings

VALUE_CHARS_MAX = 80
"""Chosen: enough to recognise a value by, short enough for one line."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an error is: as shown, its setting, and whether the setting itself is meant."""

    shown: str
    setting: Setting | None
    is_known: bool


def describe_errors(error: ValidationError, origins: Mapping[str, str]) -> tuple[str, ...]:
    """Return one line for each fault the schema found.

    Parameters
    ----------
    origins
        Where values came from that are not in the file, by dotted path: a variable's name.
    """
    settings = all_settings()
    lines = [_line(detail, settings, origins) for detail in error.errors(include_url=False)]
    return tuple(dict.fromkeys(lines))


def nearest(name: str, known: Iterable[str], *, likeness_ratio: float = 0.6) -> str:
    """Return the known name most like `name`, or "" if none is as like as that."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness_ratio)
    return found[0] if found else ""


def show_value(value: object) -> str:
    """Return a value as an error shows it: on one line, cut when long."""
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"


def _line(detail: ErrorDetails, settings: Mapping[str, Setting], origins: Mapping[str, str]) -> str:
    place = _locate(detail["loc"], settings)
    origin = f" (from {origins[place.shown]})" if place.shown in origins else ""
    return f"{place.shown or 'configuration'}{origin}: {_fault(detail, place, settings)}"


def _fault(detail: ErrorDetails, place: _Place, settings: Mapping[str, Setting]) -> str:
    if detail["type"] in ("extra_forbidden", "invalid_key"):
        return "unknown setting" + _suggestion(place.shown, settings)
    if detail["type"] == "value_error":
        return _rule(detail, place)
    expected = _expected(place.setting)
    if detail["type"] == "missing":
        return f"is missing; give {expected}"
    return f"{show_value(detail['input'])} is not allowed; give {expected}"


def _locate(loc: tuple[int | str, ...], settings: Mapping[str, Setting]) -> _Place:
    """Follow a location into the schema as far as the schema goes, and one step beyond.

    What follows further (the branches of a union) is the validator's affair, not the reader's.
    """
    shown, path = "", ""
    setting: Setting | None = None
    for part in loc:
        if isinstance(part, int) and setting is not None and setting.is_list:
            shown, path = f"{shown}[{part}]", path + ITEM
            if setting.section is None:
                return _Place(shown, setting, is_known=True)
            continue
        dot = "." if shown else ""
        shown, path = f"{shown}{dot}{part}", f"{path}{dot}{part}"
        if path not in settings:
            return _Place(shown, setting, is_known=False)
        setting = settings[path]
    return _Place(shown, setting, is_known=True)


def _expected(setting: Setting | None) -> str:
    if setting is None:
        return "a mapping of sections"
    return f"{setting.allowed} ({setting.meaning})" if setting.meaning else setting.allowed


def _suggestion(shown: str, settings: Mapping[str, Setting]) -> str:
    shown_parent, _, leaf = shown.rpartition(".")
    parent = re.sub(r"\[\d+\]", ITEM, shown_parent)
    siblings = {path.rpartition(".")[2] for path in settings if path.rpartition(".")[0] == parent}
    if close := nearest(leaf, sorted(siblings)):
        return f"; did you mean {shown_parent + '.' if shown_parent else ''}{close}?"
    elsewhere = [path for path in settings if path.rpartition(".")[2] == leaf and ITEM not in path]
    if elsewhere:
        return f"; did you mean {elsewhere[0]}?"
    return f"; known here: {', '.join(sorted(siblings))}" if siblings else ""


def _rule(detail: ErrorDetails, place: _Place) -> str:
    """Return a broken rule over several fields, with the values of those it speaks of."""
    text = detail["msg"].removeprefix("Value error, ")
    given = detail["input"]
    section = place.setting.section if place.setting else None
    if section is None or not isinstance(given, dict):
        return text
    named = [name for name in section.model_fields if re.search(rf"\b{name}\b", text)]
    values = [f"{n} = {show_value(given.get(n, section.model_fields[n].default))}" for n in named]
    return f"{text} ({', '.join(values)})" if values else text
