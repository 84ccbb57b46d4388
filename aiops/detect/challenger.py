"""A challenger beside who decides: how far they agree, and what it alone would have opened."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import orjson

from aiops.detect.episodes import EpisodeEvent
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.samples import F64, I32, U8

RECENT_MAX = 100
"""Chosen: the newest would-be anomalies of a challenger that are kept; some weeks of a good one."""


@dataclass(frozen=True, slots=True)
class WouldBe:
    """An anomaly that a challenger would have opened.

    Parameters
    ----------
    series
        Spelt out.
    end_ms
        0 while it lasts.
    is_shared
        Whether some row of it lay in an anomaly of those who decide.
    """

    series: str
    onset_ms: int
    peak_ms: int
    end_ms: int
    score: float
    is_shared: bool


@dataclass(slots=True)
class Tally:
    """How challenger and champion compare since the challenger began.

    Parameters
    ----------
    n_rows, score_sum
        Rows with a score above 0, and the sum of these; their mean is 0.43 if it is calibrated.
    n_own_rows, n_champion_rows, n_shared_rows
        Rows within a would-be anomaly, within one of those who decide, and within both.
    n_own, n_own_shared
        Would-be anomalies, and those with a shared row.
    n_champion, n_champion_shared
        The same of those who decide, on the challenger's series.
    """

    n_rows: int = 0
    score_sum: float = 0.0
    n_own_rows: int = 0
    n_champion_rows: int = 0
    n_shared_rows: int = 0
    n_own: int = 0
    n_own_shared: int = 0
    n_champion: int = 0
    n_champion_shared: int = 0

    @property
    def score_mean(self) -> float:
        """The mean score, 0 without rows."""
        return self.score_sum / self.n_rows if self.n_rows else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is told of a challenger; `would_be` has the newest first, open ones before others."""

    name: str
    tally: Tally
    would_be: tuple[WouldBe, ...]


@dataclass(slots=True)
class Agreement:
    """Compares one challenger with whoever decides on the same series, row by row.

    Notes
    -----
    Bounded by the series a challenger may watch and `RECENT_MAX`. Its scores themselves are not
    kept. Rows cost something only while one of both is in an anomaly.
    """

    name: str
    tally: Tally = field(default_factory=Tally)
    _open: dict[int, WouldBe] = field(default_factory=dict)
    _champion: dict[int, bool] = field(default_factory=dict)
    """Slots in an anomaly of those who decide, and whether it is shared."""
    _recent: deque[WouldBe] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))

    def learn(
        self,
        slots: I32,
        scores: F64,
        marks: tuple[U8, U8],
        events: Sequence[EpisodeEvent],
        names: Mapping[int, str],
    ) -> None:
        """Take in a batch as both have judged it.

        Parameters
        ----------
        slots, scores
            The challenger's rows in order, and its scores.
        marks
            For each row whether it is inside a would-be anomaly, and inside an anomaly.
        events
            What the challenger would have opened and closed, in the order of rows.
        names
            The series of the events, spelt out.
        """
        self.tally.n_rows += int(np.count_nonzero(scores > 0))
        self.tally.score_sum += float(scores.sum())
        own, champion = marks
        if not (self._open or self._champion or own.any() or champion.any()):
            return
        told = iter(events)
        for slot, is_own, is_champion in zip(
            slots.tolist(), own.tolist(), champion.tolist(), strict=True
        ):
            if bool(is_own) != (slot in self._open):
                self._change(next(told), names)
            self._meet(slot, is_own=bool(is_own), is_champion=bool(is_champion))

    def close(self, slots: I32, events: Sequence[EpisodeEvent]) -> None:
        """Take note that series ended, and of the would-be anomalies that ended with them."""
        for event in events:
            self._change(event, {})
        for slot in slots.tolist() if self._champion else ():
            self._champion.pop(slot, None)

    def comparison(self) -> Comparison:
        """Return what there is to tell, as a copy."""
        would_be = (*reversed(self._open.values()), *self._recent)
        return Comparison(self.name, replace(self.tally), would_be)

    def dump(self) -> bytes:
        """Return all of it as JSON, for a snapshot."""
        return orjson.dumps(
            {
                "tally": asdict(self.tally),
                "open": [[slot, asdict(each)] for slot, each in self._open.items()],
                "champion": list(self._champion.items()),
                "recent": [asdict(each) for each in self._recent],
            }
        )

    def load(self, saved: bytes) -> None:
        """Take over what `dump` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it has another layout.
        """
        data: dict[str, Any] = orjson.loads(saved)
        self.tally = Tally(**data["tally"])
        self._open = {slot: WouldBe(**each) for slot, each in data["open"]}
        self._champion = dict(data["champion"])
        self._recent = deque((WouldBe(**each) for each in data["recent"]), maxlen=RECENT_MAX)

    def _change(self, event: EpisodeEvent, names: Mapping[int, str]) -> None:
        facts = (event.onset_ms, event.peak_ms, event.end_ms, event.score)
        if event.change is AnomalyChange.OPENED:
            self.tally.n_own += 1
            self._open[event.slot] = WouldBe(names[event.slot], *facts, is_shared=False)
        else:
            opened = self._open.pop(event.slot)
            ended = WouldBe(opened.series, *facts, is_shared=opened.is_shared)
            self._recent.appendleft(ended)

    def _meet(self, slot: int, *, is_own: bool, is_champion: bool) -> None:
        tally = self.tally
        tally.n_own_rows += is_own
        tally.n_champion_rows += is_champion
        if not is_champion:
            self._champion.pop(slot, None)
        elif slot not in self._champion:
            self._champion[slot] = False
            tally.n_champion += 1
        if not (is_own and is_champion):
            return
        tally.n_shared_rows += 1
        if not self._champion[slot]:
            self._champion[slot] = True
            tally.n_champion_shared += 1
        if not self._open[slot].is_shared:
            self._open[slot] = replace(self._open[slot], is_shared=True)
            tally.n_own_shared += 1
