"""YAML text from a person to plain data, with the traps of YAML taken out.

Only mappings, lists, texts, numbers and true/false come out. Anchors, aliases, tags, repeated
keys and deep nesting are refused: none is of use in a configuration, and each has been an attack
or a surprise somewhere. `off`, `no` and `12:30` are texts, as in YAML 1.2.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import yaml

from aiops.errors import ConfigError

if TYPE_CHECKING:
    from yaml import CSafeLoader as _Base
else:
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FILE_BYTES_MAX = 1024 * 1024
"""Chosen: a hundred times the largest configuration anybody is likely to write."""

DEPTH_MAX = 20
"""Chosen: the schema is five levels deep; the parser recurses and must not be led further."""


class _Mark(Protocol):
    """A place in the text; the parser in C and the one in Python have a class each."""

    line: int
    column: int


def read_yaml(path: Path) -> object:
    """Return the data in a YAML file, None when the file is empty.

    Raises
    ------
    ConfigError
        When the file cannot be read, is too large or is not plain YAML; it names the file.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        text = raw.decode()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError((f"{path}: cannot be read: {reason}",)) from error
    except UnicodeDecodeError as error:
        raise ConfigError((f"{path}: is not UTF-8 text (byte {error.start})",)) from error
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError((f"{path}: is larger than {FILE_BYTES_MAX} bytes",))
    return parse_yaml(text, source=str(path))


def parse_yaml(text: str, *, source: str) -> object:
    """Return the data in YAML text, None when there is none.

    Parameters
    ----------
    source
        What the text was read from, for errors.

    Raises
    ------
    ConfigError
        When the text is not plain YAML; it names the source, line and column.
    """
    try:
        _check_structure(text)
        data: object = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - derives from SafeLoader
        return data
    except yaml.MarkedYAMLError as error:
        raise ConfigError((f"{source}: {_problem(error)}",)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError((f"{source}: {' '.join(str(error).split())}",)) from error


class _PlainLoader(_Base):
    """The safe loader with scalars as in YAML 1.2 and repeated keys refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Return a mapping, refusing a key that was there before."""
        found: dict[object, object] = super().construct_mapping(node, deep=deep)
        if len(found) < len(node.value):
            raise _repeated_key(self, node)
        return found


def _repeated_key(loader: _PlainLoader, node: yaml.MappingNode) -> ValueError:
    seen: set[object] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            return _refusal(f"{key} is given twice", key_node)
        seen.add(key)
    raise RuntimeError("BUG: a mapping lost a key that was not repeated")


_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
)
_PlainLoader.yaml_implicit_resolvers = {}  # else the resolvers of YAML 1.1 would be kept
for _kind, _pattern, _first in _SCALARS:
    _PlainLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first
    )


def _check_structure(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refusal("anchors (&) and aliases (*) are not allowed; write it out", event)
        if getattr(event, "tag", None):
            raise _refusal("tags (!) are not allowed", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise _refusal(f"nested deeper than {DEPTH_MAX} levels", event)


def _refusal(problem: str, place: yaml.Node | yaml.Event) -> ValueError:
    return ValueError(_located(place.start_mark, problem))


def _problem(error: yaml.MarkedYAMLError) -> str:
    what = ", ".join(part for part in (error.context, error.problem) if part)
    return _located(error.problem_mark, what)


def _located(mark: _Mark | None, what: str) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else what
