"""Series that turn round before they reach a bound: rotated logs, garbage collection, seasons."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64

TURNS = 2
"""Chosen: one turn is an operator who made room, two are how the series is."""

MEMORY_MS = 1_209_600_000
"""Chosen: two weeks, so that what turns every Sunday is remembered."""

MARGIN = 0.1
"""Chosen: a turn may come a tenth of what was left later than the ones before."""


@dataclass(slots=True)
class _Past:
    """Turns of a series, the value nearest to the bound among them, time of the newest."""

    n_turns: int
    mark: float
    at_ms: int


class Turns:
    """Remembers who was on the way to a bound and turned round, and how near it came.

    Notes
    -----
    A reach begins when a series is first seen on its way and lasts until it is no more. One that
    ends without the bound being reached is a turn. After two of them within two weeks a series is
    only believed once it is nearer to the bound than at any turn, by a margin. A disk that fills
    steadily is always nearer than before, a rotated log never is.
    """

    def __init__(self) -> None:
        self._past: dict[int, _Past] = {}
        self._now: dict[int, float] = {}

    def is_believed(self, slot: int, value: float, aim: tuple[float, float], now_ms: int) -> bool:
        """Note a series on its way; return whether it goes farther than it usually does.

        Parameters
        ----------
        value, aim
            Newest value; bound, and 1 where it is reached from below or -1 from above.
        """
        bound, sign = aim
        nearest = self._now.get(slot, value)
        self._now[slot] = max(nearest, value) if sign > 0.0 else min(nearest, value)
        past = self._past.get(slot)
        if past is None or past.n_turns < TURNS or now_ms - past.at_ms > MEMORY_MS:
            return True
        left = sign * (bound - past.mark)
        return sign * (value - past.mark) > MARGIN * max(left, 0.0)

    def end(self, slot: int, aim: tuple[float, float], now_ms: int) -> None:
        """Note that a series is not on its way any more; it has turned unless it has arrived."""
        nearest = self._now.pop(slot, None)
        bound, sign = aim
        if nearest is None or sign * (nearest - bound) >= 0.0:
            return
        past = self._past.get(slot)
        if past is None or now_ms - past.at_ms > MEMORY_MS:
            self._past[slot] = _Past(1, nearest, now_ms)
            return
        past.n_turns += 1
        past.mark = max(past.mark, nearest) if sign > 0.0 else min(past.mark, nearest)
        past.at_ms = now_ms

    def reaching(self) -> list[int]:
        """Return the slots that are on their way, in order."""
        return sorted(self._now)

    def forget(self, slot: int) -> None:
        """Forget all about a slot."""
        self._past.pop(slot, None)
        self._now.pop(slot, None)

    def state(self) -> npt.NDArray[np.float64]:
        """Return a row for each slot: slot, turns, mark, epoch ms of the newest, nearest now."""
        nothing = _Past(0, float("nan"), 0)
        rows = []
        for slot in sorted(self._past.keys() | self._now.keys()):
            past = self._past.get(slot, nothing)
            now = self._now.get(slot, float("nan"))
            rows.append([float(slot), float(past.n_turns), past.mark, float(past.at_ms), now])
        table: F64 = np.array(rows, float).reshape(-1, 5)
        return table

    def restore(self, table: npt.NDArray[np.generic]) -> None:
        """Take over what `state` returned."""
        for slot, n_turns, mark, at_ms, now in table.tolist():
            if n_turns:
                self._past[int(slot)] = _Past(int(n_turns), mark, int(at_ms))
            if not math.isnan(now):
                self._now[int(slot)] = now
