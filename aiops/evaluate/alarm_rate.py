"""False anomalies a day at stated budgets, measured on a null fleet, with and without incidents.

The bank scores each sample once; the episodes of all budgets are made from the same scores.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from aiops.clock import DAY_MS
from aiops.config import DetectConfig
from aiops.config_alarms import AlarmsConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.budget import FLEET, AlarmBudget
from aiops.detect.columns import ScoreColumns
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.samples import I32
from aiops.evaluate.null_fleet import BATCH_SPAN_MS, START_MS, NullBatch

INCIDENT_SPANS = 2
"""Chosen: an incident lasts twenty minutes, as most do that somebody attends to."""

FACTOR, OFFSET = 4.0, 1.0
"""Chosen: what was x is 4 x + 1 during an incident, which no kind of series ever does by itself."""


@dataclass(slots=True)
class Measured:
    """What one budget led to: anomalies opened and the level at the end, for each day.

    `opened` holds (slot, time of the batch) of each anomaly.
    """

    false_per_day: float
    opened: list[tuple[int, int]] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)

    def per_day(self, first_day: int = 0) -> float:
        """Return anomalies a day from a day on."""
        return sum(self.daily()[first_day:]) / (len(self.levels) - first_day)

    def daily(self) -> list[int]:
        """Return the anomalies of each day."""
        days = [(at_ms - 1 - START_MS) // DAY_MS for _slot, at_ms in self.opened]
        return [days.count(day) for day in range(len(self.levels))]


def measure(
    batches: Iterable[NullBatch], n_series: int, budgets: Sequence[float]
) -> list[Measured]:
    """Run bank, episodes and alarm budget over batches; return what each budget led to."""
    config = DetectConfig()
    bank = SeasonalBank(config, n_series)
    measured = [Measured(budget) for budget in budgets]
    alarms = [
        AlarmBudget(AlarmsConfig(false_per_day=budget), config, n_series, bank.name)
        for budget in budgets
    ]
    out, slots = ScoreColumns.allocate(0), np.arange(n_series, dtype=np.int32)
    for batch in batches:
        if out.capacity < len(batch.slots):
            out = ScoreColumns.allocate(len(batch.slots))
        bank.score_learn(batch.slots, batch.ts_ms, batch.features, out)
        for alarm, result in zip(alarms, measured, strict=True):
            _step(alarm, batch, out, slots, result)
    return measured


def _step(
    alarm: AlarmBudget, batch: NullBatch, out: ScoreColumns, slots: I32, result: Measured
) -> None:
    marks = np.zeros(len(batch.slots), np.uint8)
    events = alarm.episodes.step(batch.slots, batch.ts_ms, batch.features, out, marks)
    opened = [event.slot for event in events if event.change is AnomalyChange.OPENED]
    result.opened += [(slot, batch.now_ms) for slot in opened]
    alarm.advance(batch.slots, batch.ts_ms, batch.now_ms, lambda: slots)
    if (batch.now_ms - START_MS) % DAY_MS == 0:
        result.levels.append(alarm.levels()[FLEET])


@dataclass(frozen=True, slots=True)
class Incident:
    """From `start_ms` to before `end_ms` these series are disturbed."""

    start_ms: int
    end_ms: int
    slots: I32


def plan_incidents(
    seed: int, n_series: int, *, n_days: int, per_day: int, share: float
) -> list[Incident]:
    """Return incidents at seeded times from the second day on, never two at once.

    Each strikes a random `share` of the series.
    """
    rng = np.random.default_rng(seed)
    incidents = []
    day_spans = DAY_MS // BATCH_SPAN_MS
    for day in range(1, n_days):
        places = rng.choice(day_spans // (2 * INCIDENT_SPANS), per_day, replace=False)
        for place in sorted(places.tolist()):
            start_ms = START_MS + day * DAY_MS + place * 2 * INCIDENT_SPANS * BATCH_SPAN_MS
            struck = np.flatnonzero(rng.random(n_series) < share).astype(np.int32)
            end_ms = start_ms + INCIDENT_SPANS * BATCH_SPAN_MS
            incidents.append(Incident(start_ms, end_ms, struck))
    return incidents


def disturbed(
    batches: Iterable[NullBatch], incidents: Sequence[Incident], n_series: int
) -> Iterator[NullBatch]:
    """Yield the batches with the incidents in them."""
    for batch in batches:
        struck: npt.NDArray[np.bool_] = np.zeros(n_series, np.bool_)
        for incident in incidents:
            if incident.start_ms < batch.now_ms <= incident.end_ms:
                struck[incident.slots] = True
        wrong = FACTOR * batch.features + OFFSET
        yield replace(batch, features=np.where(struck[batch.slots], wrong, batch.features))


def found_share(measured: Measured, incidents: Sequence[Incident], first_day: int) -> float:
    """Return the share of struck series that opened an anomaly in time, from a day on."""
    opened = set(measured.opened)
    n_found = n_struck = 0
    for incident in incidents:
        if incident.start_ms < START_MS + first_day * DAY_MS:
            continue
        spans = range(incident.start_ms + BATCH_SPAN_MS, incident.end_ms + 1, BATCH_SPAN_MS)
        n_struck += len(incident.slots)
        n_found += sum(
            any((slot, at_ms) in opened for at_ms in spans) for slot in incident.slots.tolist()
        )
    return n_found / max(n_struck, 1)
