"""Headers of playbooks with their secrets read, for those that may act."""

from collections.abc import Iterator, Sequence

from aiops.config import SecretRef
from aiops.domain.action import ActionMode
from aiops.errors import ConfigError
from aiops.remediate.guard import effective_mode
from aiops.remediate.playbook import Playbook, is_header_value


def resolve_headers(
    global_mode: ActionMode, playbooks: Sequence[Playbook]
) -> dict[str, dict[str, str]]:
    """Return the headers of each playbook that may act, by its name.

    Raises
    ------
    ConfigError
        With one line for each secret that cannot be read or cannot stand in a header.
    """
    found: dict[str, dict[str, str]] = {}
    problems: list[str] = []
    for playbook in playbooks:
        if effective_mode(global_mode, playbook.mode) is not ActionMode.AUTO:
            continue  # a dry run must not need the secrets of the real thing
        found[playbook.name] = {}
        for name, value in _values(playbook, problems):
            found[playbook.name][name] = value
    if problems:
        raise ConfigError(tuple(problems))
    return found


def _values(playbook: Playbook, problems: list[str]) -> Iterator[tuple[str, str]]:
    for name, value in playbook.action.http.headers.items():
        if isinstance(value, str):
            yield name, value
            continue
        try:
            yield name, _read(value)
        except (OSError, KeyError, ValueError) as error:
            problems.append(f"playbook {playbook.name}: header {name} cannot be read: {error}")


def _read(secret: SecretRef) -> str:
    text = secret.read().decode("ascii")
    if not text or not is_header_value(text):
        raise ValueError("it must be 1 to 1024 printable ASCII characters")
    return text
