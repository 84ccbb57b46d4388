"""Admission: may a body be read and kept now, or should its sender come again later."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiops.errors import OverloadError

RETRY_AFTER_S = 5
"""Chosen: long enough for a queue to drain, short against a sender's buffer of hours."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One reason to refuse: `is_met` is asked before a body is read."""

    reason: str
    is_met: Callable[[], bool]


class Admission:
    """Holds the right to keep bodies in memory; refuses with 503, which every sender retries.

    Parameters
    ----------
    bytes_max
        Bodies in memory at once, as declared or, where nothing is declared, at their bound.
    conditions
        States in which nothing is taken: queue full, journal broken, disk full.
    """

    def __init__(self, *, bytes_max: int, conditions: tuple[Condition, ...]) -> None:
        self._bytes_max = bytes_max
        self._conditions = conditions
        self.bytes_now = 0

    @contextmanager
    def hold(self, n_bytes: int) -> Iterator[None]:
        """Hold room for a body while the block runs.

        Raises
        ------
        OverloadError
            When there is no room, or one of the conditions is met.
        """
        for condition in self._conditions:
            if condition.is_met():
                raise OverloadError(condition.reason, retry_after_s=RETRY_AFTER_S)
        if self.bytes_now and self.bytes_now + n_bytes > self._bytes_max:
            raise OverloadError(
                "too many bodies in flight; raise server.body_bytes_in_flight_max",
                retry_after_s=RETRY_AFTER_S,
            )
        self.bytes_now += n_bytes
        try:
            yield
        finally:
            self.bytes_now -= n_bytes
