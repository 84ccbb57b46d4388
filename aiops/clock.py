"""Time as a value that is passed in, so that tests and replay can move it."""

import time
from typing import Protocol

DAY_MS = 86_400_000
"""A day of UTC; days are counted from the epoch."""


def day_of(ts_ms: int) -> int:
    """Return the UTC day a time falls in, counted from the epoch."""
    return ts_ms // DAY_MS


class Clock(Protocol):
    """Where the shell reads the time; the core is handed `now_ms` instead."""

    def now_ms(self) -> int:
        """Return the wall time in epoch milliseconds."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards, for timeouts and rates."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        """Return the wall time in epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return the machine's monotonic time in seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is told to move; for tests and simulation."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return the simulated wall time in epoch milliseconds."""
        return self._now_ms

    def monotonic_s(self) -> float:
        """Return the simulated time in seconds."""
        return self._now_ms / 1000.0

    def advance(self, span_ms: int) -> None:
        """Move both clocks forward by `span_ms`."""
        self._now_ms += span_ms
