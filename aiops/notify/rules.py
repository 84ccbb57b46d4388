"""Receivers as the planner sees them: a name, a protocol, and what they want to hear about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiops.config import ReceiverConfig
from aiops.domain.matchers import Matchers
from aiops.domain.selector import parse_selector
from aiops.errors import ConfigError, QueryError


@dataclass(frozen=True, slots=True)
class ReceiverRule:
    """Which incidents a receiver is told about, and in which protocol's words."""

    name: str
    kind: Literal["webhook", "alertmanager"]
    matchers: Matchers = ()


def receiver_rules(configs: Sequence[ReceiverConfig]) -> tuple[ReceiverRule, ...]:
    """Return the rules of configured receivers, their selectors parsed once.

    Raises
    ------
    ConfigError
        With one line for each selector that does not parse.
    """
    rules: list[ReceiverRule] = []
    problems: list[str] = []
    for position, config in enumerate(configs):
        try:
            matchers = parse_selector(config.match)
        except QueryError as error:
            problems.append(f"notify.receivers[{position}].match: {config.match!r}: {error}")
        else:
            rules.append(ReceiverRule(config.name, config.kind, matchers))
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(rules)
