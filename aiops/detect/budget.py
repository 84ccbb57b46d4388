"""The alarm budget: from false anomalies a day to the score that opens one, for each class.

What goes in is what the episodes counted; what comes out is their levels. Deterministic: time comes
with the batches, and all of it joins the snapshot.
"""

import json
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from aiops.clock import DAY_MS
from aiops.config import DetectConfig
from aiops.config_alarms import AlarmsConfig
from aiops.detect.class_budget import NUMBERS, ClassBudget
from aiops.detect.episodes import Episodes
from aiops.detect.kernels.episodes import GRID_SIZE
from aiops.domain.labels import Labels
from aiops.domain.matchers import match_all
from aiops.domain.samples import I32, I64
from aiops.domain.selector import parse_selector
from aiops.errors import SnapshotError

SPAN_MS = 600_000
"""Chosen: ten minutes. Openings of one incident fall into one or two spans, and 144 spans a day
leave most of them free of false ones in any fleet whose budget a person can read."""

FLEET = "fleet"
"""Name of the class of all series without a budget of their own."""

SERIES_SMALL = 100
SERIES_LARGE = 10_000
"""Chosen: between these one false anomaly a day is asked for; a series is then wrong once in 100
days at most, and a very large fleet not blind for the sake of its size."""


def default_false_per_day(n_series: int) -> float:
    """Return the budget of a fleet whose operator states none."""
    return max(n_series, 1) / min(max(n_series, SERIES_SMALL), SERIES_LARGE)


class AlarmBudget:
    """Sets the levels of episodes so that no more than a stated number a day are false.

    Parameters
    ----------
    alarms
        The budgets; the first that matches a series is its class.
    detect
        `open_samples` and `clear_score`; with `alarm_score`, levels never move.
    capacity, detector
        As for the `Episodes`, which are made here: number of slots, name of the detector.

    Notes
    -----
    The unit is an episode opened. The kernel counts at which levels each series would have opened
    one (`Episodes.tally`); every ten minutes the counts join a memory of up to a week, from which
    the level follows (`tail_level.fit_tail`); without data it is what calibrated scores would need.

    True anomalies are kept out of the estimate, since they would make it deaf. (1) Their scores lie
    far beyond the level, false ones close to it: only series whose highest opening of the day
    exceeds a level by less than 1.25 count there, and the slope of these foretells how many false
    ones lie beyond. (2) A series counts once a day and level. (3) Faults come together: a span with
    more openings at some level than chance brings is left out with all its rows (`is_burst`).
    Thirty incidents a day of single series, three times the budget, raise the level by 0.1 to 0.2
    (benchmark: quality_budget). The level moves by 0.1 an hour at most.

    *Limits.* False anomalies that come together (a nightly job on many series) look like true
    ones and are not kept within the budget; they make one incident. The budget holds on average
    over days: with one a day, days with three are ordinary. Where a few series have tails so flat
    that their false openings lie apart from all others, these look like true anomalies and come
    on top of the budget. On the first day series know too little of themselves: of 2,000, some ten
    open falsely at the smallest budget. A series whose scales have learned from its incidents opens
    less by itself; then the level falls. The budget is one for all series, so a badly behaved kind
    makes the level stricter for all; give it a budget of its own.
    """

    def __init__(
        self, alarms: AlarmsConfig, detect: DetectConfig, capacity: int, detector: str
    ) -> None:
        self.episodes = Episodes(detect, capacity, detector, 1 + len(alarms.budgets))
        self._is_fixed = detect.alarm_score is not None
        self._names = (FLEET, *(rule.match for rule in alarms.budgets))
        self._matchers = [parse_selector(rule.match) for rule in alarms.budgets]
        self._false_per_day = (alarms.false_per_day, *(r.false_per_day for r in alarms.budgets))
        self._classes = [ClassBudget(detect.open_samples, detect.clear_score) for _ in self._names]
        self._n_rows: I64 = np.zeros(len(self._names), np.int64)
        self._n_fresh: I64 = np.zeros(len(self._names), np.int64)
        self._span_start_ms = -1
        self._set_levels()

    def levels(self) -> dict[str, float]:
        """Return the level of each class by its selector, `FLEET` for the rest."""
        return dict(zip(self._names, self.episodes.levels, strict=True))

    def false_per_day(self) -> dict[str, float]:
        """Return how many false anomalies a day are expected of each class at its level."""
        return {n: c.false_per_day() for n, c in zip(self._names, self._classes, strict=True)}

    def admit(self, slots: I32, labels_of: Callable[[int], Labels]) -> None:
        """Decide the class of new series."""
        if not self._matchers:
            return
        for slot in slots.tolist():
            labels = labels_of(slot)
            found = (k for k, m in enumerate(self._matchers, 1) if match_all(m, labels))
            self.episodes.classes[slot] = next(found, 0)

    def advance(self, slots: I32, ts_ms: I64, now_ms: int, live_slots: Callable[[], I32]) -> None:
        """Account for a batch that the episodes have seen; move levels when a span is over.

        Parameters
        ----------
        slots, ts_ms
            The batch's rows.
        now_ms
            When it came.
        live_slots
            Asked once a span for all slots in use.
        """
        start_ms = now_ms - now_ms % SPAN_MS
        if self._span_start_ms < 0:
            self._span_start_ms = start_ms
        self._n_rows += self._by_class(slots)
        self._n_fresh += self._by_class(slots[ts_ms >= now_ms - SPAN_MS])
        span_ms = start_ms - self._span_start_ms
        if span_ms <= 0:
            return
        n_series = self._by_class(live_slots()).tolist()
        for k, of_class in enumerate(self._classes):
            of_class.learn(
                self.episodes.tally[k],
                n_rows=int(self._n_rows[k]),
                n_fresh=int(self._n_fresh[k]),
                span_days=span_ms / DAY_MS,
            )
            if not self._is_fixed:
                wanted = self._false_per_day[k] or default_false_per_day(n_series[k])
                of_class.move(wanted, n_series[k], span_ms / DAY_MS)
        self._set_levels()
        self.episodes.tally[:] = 0
        self._n_rows[:] = 0
        self._n_fresh[:] = 0
        self._span_start_ms = start_ms

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot, without those of the episodes."""
        return {
            "budget.names": np.frombuffer(json.dumps(self._names).encode(), np.uint8),
            "budget.counts": np.stack([c.counts for c in self._classes]),
            "budget.numbers": np.array([c.numbers() for c in self._classes]),
            "budget.tally": self.episodes.tally,
            "budget.rows": self._n_rows,
            "budget.fresh": self._n_fresh,
            "budget.span_start_ms": np.array([self._span_start_ms], np.int64),
        }

    def restore(
        self,
        state: Mapping[str, npt.NDArray[np.generic]],
        live: I32,
        labels_of: Callable[[int], Labels],
    ) -> None:
        """Take over a saved state; a budget that it does not know starts anew.

        Raises
        ------
        SnapshotError
            When the arrays have another layout.
        """
        names = json.loads(state["budget.names"].tobytes())
        counts, tally = state["budget.counts"], state["budget.tally"]
        numbers = state["budget.numbers"]
        if counts.shape != (len(names), GRID_SIZE) or numbers.shape != (len(names), len(NUMBERS)):
            raise SnapshotError("saved alarm budget has another layout")
        for k, name in enumerate(self._names):
            if name in names:
                saved = names.index(name)
                self._classes[k].restore(np.asarray(counts[saved]), numbers[saved].tolist())
                self.episodes.tally[k] = tally[saved]
                self._n_rows[k] = state["budget.rows"][saved]
                self._n_fresh[k] = state["budget.fresh"][saved]
        self._span_start_ms = int(state["budget.span_start_ms"][0])
        self._set_levels()
        self.admit(live, labels_of)

    def _by_class(self, slots: I32) -> I64:
        if not self._matchers:
            return np.array([len(slots)], np.int64)
        return np.bincount(self.episodes.classes[slots], minlength=len(self._names))

    def _set_levels(self) -> None:
        if self._is_fixed:
            return
        for k, of_class in enumerate(self._classes):
            self.episodes.set_level(k, of_class.level)
