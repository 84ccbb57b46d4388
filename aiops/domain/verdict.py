"""A decision together with why it fell that way, so that nobody has to guess later."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something may go ahead. `reason` is a sentence part fit for an audit record."""

    is_allowed: bool
    reason: str


def allow(reason: str) -> Verdict:
    """Return a verdict that lets the thing go ahead."""
    return Verdict(is_allowed=True, reason=reason)


def refuse(reason: str) -> Verdict:
    """Return a verdict that stops the thing."""
    return Verdict(is_allowed=False, reason=reason)
