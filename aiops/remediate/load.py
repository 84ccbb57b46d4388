"""Playbook files to playbooks, with every fault in words."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aiops.config import SecretRef
from aiops.config_problems import nearest, show_value
from aiops.config_yaml import read_yaml
from aiops.errors import ConfigError
from aiops.remediate.playbook import ActionSpec, HttpAction, Playbook

FILE_BYTES_MAX = 256 * 1024
"""Chosen: a playbook is one request; the largest sensible body is 64 KiB."""

WORLD_WRITABLE = 0o002

_SECTIONS: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): Playbook,
    ("action",): ActionSpec,
    ("action", "http"): HttpAction,
}


def load_playbooks(paths: Sequence[Path]) -> tuple[Playbook, ...]:
    """Return the playbooks of files, one each, in the order of the paths.

    A secret's relative file is meant relative to the playbook that names it.

    Raises
    ------
    ConfigError
        With one line for each fault in any file: file, setting, value, what is allowed.
    """
    playbooks: list[Playbook] = []
    problems: list[str] = []
    taken: dict[str, Path] = {}
    for path in paths:
        try:
            playbook = _load(path)
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        if playbook.name in taken:
            problems.append(
                f"{path}: name: {playbook.name!r} is the name of {taken[playbook.name]} already;"
                " names must differ"
            )
        taken[playbook.name] = path
        playbooks.append(playbook)
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(playbooks)


def _load(path: Path) -> Playbook:
    _check_file(path)
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError((f"{path}: must be a mapping with name, match, action, ...",))
    try:
        playbook = Playbook.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        lines = [f"{path}: {_describe(detail)}" for detail in details]
        raise ConfigError(tuple(dict.fromkeys(lines))) from error
    return _anchored(playbook, path.parent)


def _check_file(path: Path) -> None:
    try:
        facts = path.stat()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError((f"{path}: cannot be read: {reason}",)) from error
    if facts.st_size > FILE_BYTES_MAX:
        raise ConfigError((f"{path}: is larger than {FILE_BYTES_MAX} bytes",))
    if facts.st_mode & WORLD_WRITABLE:
        raise ConfigError((f"{path}: anybody may change it; run chmod o-w on it",))


def _describe(detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "playbook"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return f"{place}: unknown setting{_suggestion(detail['loc'])}"
    if detail["type"] == "missing":
        return f"{place}: is missing"
    return f"{place}: {show_value(detail['input'])} is not allowed: {message}"


def _suggestion(loc: tuple[int | str, ...]) -> str:
    section = _SECTIONS.get(tuple(str(part) for part in loc[:-1]))
    if section is None:
        return ""
    known = sorted(section.model_fields)
    close = nearest(str(loc[-1]), known)
    return f"; did you mean {close}?" if close else f"; known here: {', '.join(known)}"


def _anchored(playbook: Playbook, folder: Path) -> Playbook:
    http = playbook.action.http
    headers = dict(_anchored_headers(http.headers, folder))
    action = ActionSpec(http=http.model_copy(update={"headers": headers}))
    return playbook.model_copy(update={"action": action})


def _anchored_headers(
    headers: Mapping[str, str | SecretRef], folder: Path
) -> Iterator[tuple[str, str | SecretRef]]:
    for name, value in headers.items():
        if isinstance(value, SecretRef) and value.file is not None:
            yield name, value.model_copy(update={"file": folder / value.file})
        else:
            yield name, value
