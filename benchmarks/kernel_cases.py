"""What a case of the kernel benchmark is, and the numbers all cases share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SEED = 1
START_MS = 1_700_006_400_000
"""A midnight (UTC), so that some hours of samples lie in one day."""
STEP_MS = 15_000
PER_REQUEST = 5_000
"""Rows handled by one call, as a sender's requests bring them."""

Kernel = Callable[..., Any]
"""A compiled kernel, or what a test gives in its place."""


@dataclass(frozen=True, slots=True)
class Case:
    """A call that handles `n_rows` rows, and what is known about it.

    Parameters
    ----------
    call
        Runs the kernel over all rows; timed.
    is_right
        Runs the same kernel over a few rows and tells whether its plain twin agrees.
    reset
        Brings back what a call used up; not timed.
    facts
        What a row is, in figures, for the record.
    """

    n_rows: int
    call: Callable[[], object]
    is_right: Callable[[], bool]
    reset: Callable[[], object] | None = None
    facts: Mapping[str, float] = field(default_factory=dict)


def requests_of(n_rows: int) -> list[slice]:
    """Return the slices that cut `n_rows` into requests."""
    return [slice(cut, min(cut + PER_REQUEST, n_rows)) for cut in range(0, n_rows, PER_REQUEST)]
