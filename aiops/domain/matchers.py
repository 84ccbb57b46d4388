"""Matchers over label sets: =, !=, =~, !~ with Prometheus' anchored RE2 expressions."""

import functools
from dataclasses import dataclass
from enum import StrEnum

import re2

from aiops.domain.labels import Labels, label_value
from aiops.errors import QueryError

REGEX_BYTES_MAX = 1024
"""Chosen: longest regex anybody needs; Grafana's multi-value variables stay below 1 KiB."""


class MatchOp(StrEnum):
    """The four operators of a selector."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a missing label counts as the empty string."""

    name: str
    op: MatchOp
    value: str

    def is_match(self, text: str) -> bool:
        """Tell whether a label value satisfies this condition."""
        if self.op is MatchOp.EQUAL:
            return text == self.value
        if self.op is MatchOp.NOT_EQUAL:
            return text != self.value
        found = _compiled(self.value).fullmatch(text) is not None
        return found if self.op is MatchOp.REGEX else not found


Matchers = tuple[Matcher, ...]


def check_matcher(matcher: Matcher) -> Matcher:
    """Return the matcher unchanged.

    Raises
    ------
    QueryError
        When its regular expression is too long or does not compile.
    """
    if matcher.op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
        _compiled(matcher.value)
    return matcher


def match_all(matchers: Matchers, labels: Labels) -> bool:
    """Tell whether a label set satisfies every matcher."""
    return all(m.is_match(label_value(labels, m.name)) for m in matchers)


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> "re2._Regexp":
    if len(pattern.encode()) > REGEX_BYTES_MAX:
        raise QueryError(f"regular expression longer than {REGEX_BYTES_MAX} bytes")
    options = re2.Options()
    options.dot_nl = True  # Prometheus compiles with (?s) since 3.0
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise QueryError(f"invalid regular expression {pattern!r}: {error}") from error
