"""Faults of the simulated fleet, and a seeded schedule that alternates kinds and services."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class FaultKind(StrEnum):
    """What goes wrong with a service."""

    LATENCY = "latency"
    ERRORS = "errors"
    CPU = "cpu-saturation"
    MEMORY_LEAK = "memory-leak"
    TRAFFIC_DROP = "traffic-drop"


@dataclass(frozen=True, slots=True)
class Fault:
    """One disturbance of one service: the truth a detector is measured against.

    Parameters
    ----------
    start_ms, duration_ms
        Epoch milliseconds, and the span until the service is well again.
    caller_fraction
        Share of the harm that direct callers feel (0..1). Leaks and lost traffic do not climb.
    """

    kind: FaultKind
    service: str
    start_ms: int
    duration_ms: int
    caller_fraction: float = 0.4

    @property
    def end_ms(self) -> int:
        """The first millisecond at which the service is well again."""
        return self.start_ms + self.duration_ms

    def is_active(self, ts_ms: int) -> bool:
        """Tell whether the fault does harm at a time."""
        return self.start_ms <= ts_ms < self.end_ms

    def progress(self, ts_ms: int) -> float:
        """Return how much of the fault's span has passed, 0 to 1."""
        return min(max((ts_ms - self.start_ms) / self.duration_ms, 0.0), 1.0)


GAP_S = (90, 120)
DURATION_S = (40, 60)
"""Chosen: a watcher sees a whole incident, from fault to resolution, in two minutes; at least 30 s
of health lie between two faults, so that each can have an incident of its own."""


class FaultSchedule:
    """An endless, seeded sequence of faults; one every 90 to 120 s, each lasting 40 to 60 s.

    Every run through the kinds holds each kind once, the first run in a fixed order with the most
    visible ones in front; a service comes again only after all others had their turn.

    Parameters
    ----------
    services
        Names to choose from.
    first_ms
        Start of the first fault in epoch milliseconds.
    """

    def __init__(self, seed: int, services: Sequence[str], *, first_ms: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._services = tuple(services)
        self._faults = self._generate(first_ms)
        self._next = next(self._faults)

    def due(self, ts_ms: int) -> tuple[Fault, ...]:
        """Return the faults that start at or before a time and were not returned before."""
        found: list[Fault] = []
        while self._next.start_ms <= ts_ms:
            found.append(self._next)
            self._next = next(self._faults)
        return tuple(found)

    def upcoming(self) -> Fault:
        """Return the fault that comes next."""
        return self._next

    def _generate(self, first_ms: int) -> Iterator[Fault]:
        start_ms = first_ms
        for kind, service in zip(self._kinds(), self._targets(), strict=False):
            duration_ms = int(self._rng.integers(*DURATION_S, endpoint=True)) * 1000
            yield Fault(kind, service, start_ms, duration_ms)
            start_ms += int(self._rng.integers(*GAP_S, endpoint=True)) * 1000

    def _kinds(self) -> Iterator[FaultKind]:
        kinds = list(FaultKind)
        while True:
            yield from kinds
            last = kinds[-1]
            kinds = [FaultKind(kind) for kind in self._rng.permutation(kinds)]
            if kinds[0] is last:  # the same kind twice in a row would not alternate
                kinds.append(kinds.pop(0))

    def _targets(self) -> Iterator[str]:
        while True:
            yield from (str(name) for name in self._rng.permutation(self._services))
