"""Forecasts over the engine's slots: which are watched, and which are about to reach a bound."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import orjson

from aiops.config import DetectConfig
from aiops.config_forecast import ForecastRule
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.forecast import Forecast, ForecastBank
from aiops.detect.kernels import forecast as layout
from aiops.detect.reach import Bounds, Reach, find_reaches
from aiops.detect.rule_match import RuleMatch
from aiops.detect.turns import Turns
from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent, AnomalyKind
from aiops.domain.forecast import ForecastFacts
from aiops.domain.incident_json import anomaly_from_json, anomaly_to_json
from aiops.domain.labels import Labels
from aiops.domain.samples import F64, I32, I64
from aiops.series.kernels import intake
from aiops.series.table import SeriesTable

DETECTOR = "forecast"
VERSION = 1

INTERVAL_MS = 60_000
"""Chosen: the shortest time to a bound that a rule may ask for is five times as long."""

SILENT_MS = 600_000
"""Chosen: a trend that nobody has seen go on for so long is not told; absence may be."""

TOLD_AGAIN = 0.5
"""Chosen: an open anomaly is told again when what is left has halved."""

TOLD_S_MIN = 300.0
"""Chosen: whoever is told less than five minutes ahead can do no more than watch it arrive."""

LEAVE = 1.25
"""Chosen: an open anomaly lasts until the bound is a quarter farther than asked for."""

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(slots=True)
class _Open:
    """An open anomaly, the time left when it was last told, evaluations without a reason."""

    anomaly: Anomaly
    told_s: float
    n_missed: int = 0


@dataclass(frozen=True, slots=True)
class SeriesForecast:
    """What is expected of a series, and which it is; the unit is "" when it is not known."""

    labels: Labels
    unit: str
    forecast: Forecast


class ForecastWatch:
    """Watches the slots that `detect.forecast` names; their bounds come out as anomalies.

    Parameters
    ----------
    config
        `forecast`, and the bound `anomalies_open_max`.
    table
        Names the series; only read.
    bank
        Knows levels and seasons; learns each batch before this does.
    capacity
        Number of slots.

    Raises
    ------
    ConfigError
        When the match of a rule is no selector.

    Notes
    -----
    Once a minute all watched series are looked at together. An anomaly opens when the *expected*
    course reaches the bound within the time of the rule, `evaluations` times in a row; the near
    end of the interval is by its meaning wrong nine times in ten, the far one late by its width.
    It closes after as many without a reason: the trend is over, or the bound is a quarter
    farther than asked for. What has reached its bound stays open until it is back; what is there
    without a trend is for thresholds. What has turned round twice is believed only once it goes
    farther (`detect.turns`), so a rotated log or a season costs two false alarms in its life.
    """

    def __init__(
        self, config: DetectConfig, table: SeriesTable, bank: SeasonalBank, capacity: int
    ) -> None:
        forecast = config.forecast
        self._config = forecast
        self._open_max = config.anomalies_open_max
        self._table = table
        self.bank = ForecastBank(forecast.series_max, capacity, bank)
        placed = tuple(_placed(forecast.rules, forecast.default_rules)) if forecast.enabled else ()
        self._rules = tuple(rule for _, rule in placed)
        self._match = RuleMatch(placed)
        self._number_of: dict[int, int] = {}
        self._hits: dict[int, int] = {}
        self._open: dict[int, _Open] = {}
        self._turns = Turns()
        self._looked_ms = 0
        self.shed_total = 0

    @property
    def open_now(self) -> int:
        """Open anomalies."""
        return len(self._open)

    @property
    def n_watched(self) -> int:
        """Series that are watched."""
        return self.bank.state.n_watched

    @property
    def refused_total(self) -> int:
        """Series that were not watched because of a bound."""
        return self.bank.state.refused_total

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        self.bank.state.grow(capacity)

    def admit(self, slots: I32) -> None:
        """Decide which new series are watched."""
        for slot in slots.tolist() if self._rules else ():
            number = self._match.number(self._table.labels(slot))
            if number and self.bank.state.watch(slot):
                self._number_of[slot] = number

    def learn(self, slots: I32, ts_ms: I64, features: F64) -> None:
        """Learn a batch that the seasonal bank has learnt."""
        self.bank.learn(slots, ts_ms, features)

    def tick(self, now_ms: int) -> Iterator[AnomalyEvent]:
        """Let time pass: once a minute see which series are about to reach their bound."""
        if 0 <= now_ms - self._looked_ms < INTERVAL_MS:
            return
        self._looked_ms = now_ms
        slots, wanted = self._bounded(now_ms)
        rows: I32 = self.bank.state.row_of[slots] - np.int32(1)
        found = find_reaches(self.bank, rows, wanted)
        reaches = {int(self.bank.state.slot_of[reach.row]): reach for reach in found}
        for slot, reach in reaches.items():
            yield from self._see(slot, reach, now_ms)
        self._hits = {slot: n for slot, n in self._hits.items() if slot in reaches}
        for slot in self._turns.reaching():
            if slot not in reaches and slot not in self._open:
                self._turns.end(slot, self._aim(slot), now_ms)
        for slot in sorted(self._open.keys() - reaches.keys()):
            yield from self._miss(slot, now_ms)

    def close(self, slots: I32, now_ms: int) -> Iterator[AnomalyEvent]:
        """Close the anomalies of series that ended."""
        if self._open:
            for slot in np.unique(slots).tolist():
                if slot in self._open:
                    yield self._end(slot, now_ms)

    def reset(self, slots: I32) -> None:
        """Learn these series anew; `close` has been called for them."""
        self.bank.state.reset(slots)
        for slot in slots.tolist() if self._number_of else ():
            self._hits.pop(slot, None)
            self._turns.forget(slot)

    def forget(self, slots: I32) -> None:
        """Watch these slots no longer; `close` and `reset` have been called for them."""
        for slot in slots.tolist() if self._number_of else ():
            if self._number_of.pop(slot, 0):
                self.bank.state.release(slot)

    def forecasts(self, slots: I32, step_ms: int, n_points: int) -> list[SeriesForecast]:
        """Return what is expected of slots, from their newest sample on; unknown ones are left out.

        Parameters
        ----------
        step_ms, n_points
            The times: each a step after the one before, the first a step after the sample.
        """
        found = []
        for slot in slots.tolist():
            newest_ms = int(self._table.track[slot, intake.LAST_TS])
            ts_ms: I64 = newest_ms + step_ms * np.arange(1, n_points + 1)
            forecast = self.bank.forecast(slot, ts_ms)
            if forecast is not None:
                labels, unit = self._table.labels(slot), self._table.unit(slot)
                found.append(SeriesForecast(labels, unit, forecast))
        return found

    def state(self) -> Arrays:
        """Return the arrays of a snapshot."""
        book = [
            [slot, anomaly_to_json(each.anomaly), each.told_s, each.n_missed]
            for slot, each in sorted(self._open.items())
        ]
        return {
            **self.bank.state.state(),
            "forecast.clock": np.array([self._looked_ms, self.shed_total], np.int64),
            "forecast.rules": np.frombuffer(self._spelt(), np.uint8),
            "forecast.turned": self._turns.state(),
            "forecast.hits": np.array(sorted(self._hits.items()), np.int64).reshape(-1, 2),
            "forecast.open": np.frombuffer(orjson.dumps(book), np.uint8),
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]], live: I32) -> None:
        """Take over a snapshot; series get the rules of the present configuration.

        With other rules than those of the snapshot, series that are not watched any more are
        released, and those that are from now on begin anew; what is open of the former ones is
        closed by the next look.
        """
        if not any(name.startswith("forecast.") for name in arrays):
            self.admit(live)
            return
        self.bank.state.restore(arrays)
        self._looked_ms, self.shed_total = arrays["forecast.clock"].tolist()
        self._hits = dict(arrays["forecast.hits"].tolist())
        self._turns.restore(arrays["forecast.turned"])
        for slot, data, told_s, n_missed in orjson.loads(arrays["forecast.open"].tobytes()):
            self._open[int(slot)] = _Open(anomaly_from_json(data), float(told_s), int(n_missed))
        for slot in self.bank.state.owners().tolist():
            number = self._match.number(self._table.labels(slot))
            if number:
                self._number_of[slot] = number
            else:
                self.bank.state.release(slot)
        if arrays["forecast.rules"].tobytes() != self._spelt():
            self.admit(live)

    def _spelt(self) -> bytes:
        """Return what decides who is watched; those refused stay so while it is the same."""
        rules = [rule.model_dump() for rule in self._rules]
        return orjson.dumps([self._config.series_max, rules])

    def _bounded(self, now_ms: int) -> tuple[I32, Bounds]:
        """Return the slots with a bound that have samples of late, and their bounds."""
        state = self.bank.state
        slots = state.owners()
        rules = [self._rules[self._number_of[slot] - 1] for slot in slots.tolist()]
        bounds: F64 = np.array([_bound(rule) for rule in rules])
        signs: F64 = np.array([1.0 if rule.above is not None else -1.0 for rule in rules])
        within_ms: F64 = np.array([1000.0 * rule.within_s for rule in rules])
        is_open = np.array([slot in self._open for slot in slots.tolist()], bool)
        rows = state.row_of[slots] - 1
        seen_ms = state.rows[rows, layout.SEEN]
        wanted = np.isfinite(bounds) & (seen_ms >= now_ms - SILENT_MS)
        within_ms = np.where(is_open, LEAVE * within_ms, within_ms)
        return slots[wanted], Bounds(bounds[wanted], signs[wanted], within_ms[wanted])

    def _see(self, slot: int, reach: Reach, now_ms: int) -> Iterator[AnomalyEvent]:
        known = self._open.get(slot)
        if known is not None:
            self._turns.is_believed(slot, reach.value, self._aim(slot), now_ms)
            known.n_missed = 0
            anomaly = self._told(known.anomaly, slot, reach, now_ms)
            eta_s = reach.eta_ms / 1000
            is_near = eta_s <= 0.0 < known.told_s or eta_s >= TOLD_S_MIN
            if is_near and eta_s < TOLD_AGAIN * known.told_s:
                known.told_s = eta_s
                known.anomaly = anomaly
                yield AnomalyEvent(AnomalyChange.OPENED, anomaly)
            return
        if reach.eta_ms <= 0.0:
            return
        self._hits[slot] = self._hits.get(slot, 0) + 1
        if self._hits[slot] < self._config.evaluations:
            return
        if not self._turns.is_believed(slot, reach.value, self._aim(slot), now_ms):
            return
        if len(self._open) >= self._open_max:
            self.shed_total += 1
            return
        del self._hits[slot]
        anomaly = self._told(self._blank(slot, now_ms), slot, reach, now_ms)
        self._open[slot] = _Open(anomaly, reach.eta_ms / 1000)
        yield AnomalyEvent(AnomalyChange.OPENED, anomaly)

    def _miss(self, slot: int, now_ms: int) -> Iterator[AnomalyEvent]:
        known = self._open[slot]
        number = self._number_of.get(slot, 0)
        if number:
            bound, sign = self._aim(slot)
            row = int(self.bank.state.row_of[slot]) - 1
            if sign * (float(self.bank.state.rows[row, layout.LAST]) - bound) >= 0.0:
                known.n_missed = 0
                return
            known.n_missed += 1
        if not number or known.n_missed >= self._config.evaluations:
            self._turns.end(slot, self._aim(slot), now_ms)
            yield self._end(slot, now_ms)

    def _aim(self, slot: int) -> tuple[float, float]:
        """Return the bound of a slot, NaN for none, and 1 where reached from below, else -1."""
        number = self._number_of.get(slot, 0)
        if not number:
            return float("nan"), -1.0
        rule = self._rules[number - 1]
        return _bound(rule), 1.0 if rule.above is not None else -1.0

    def _end(self, slot: int, now_ms: int) -> AnomalyEvent:
        anomaly = self._open.pop(slot).anomaly
        closed = replace(anomaly, end_ms=max(now_ms, anomaly.onset_ms))
        return AnomalyEvent(AnomalyChange.CLOSED, closed)

    def _blank(self, slot: int, now_ms: int) -> Anomaly:
        fingerprint = int(self._table.fingerprints[slot])
        labels: Labels = self._table.labels(slot)
        nothing = float("nan")
        return Anomaly(
            anomaly_id=f"{fingerprint:016x}-{DETECTOR}-{now_ms}",
            fingerprint=fingerprint,
            labels=labels,
            detector=DETECTOR,
            onset_ms=now_ms,
            peak_ms=now_ms,
            end_ms=0,
            score=0.0,
            value=nothing,
            expected=nothing,
            lower=nothing,
            upper=nothing,
            kind=AnomalyKind.FORECAST,
            unit=self._table.unit(slot),
            detector_version=str(VERSION),
        )

    def _told(self, anomaly: Anomaly, slot: int, reach: Reach, now_ms: int) -> Anomaly:
        """Return an anomaly brought up to date."""
        rule = self._rules[self._number_of[slot] - 1]
        facts = ForecastFacts(
            _bound(rule),
            rule.above is not None,
            reach.eta_ms / 1000,
            reach.near_ms / 1000,
            reach.far_ms / 1000,
            reach.slope_per_s,
        )
        return replace(
            anomaly,
            peak_ms=now_ms,
            score=max(anomaly.score, reach.score),
            value=reach.value,
            expected=reach.expected,
            lower=facts.bound if not facts.is_above else anomaly.lower,
            upper=facts.bound if facts.is_above else anomaly.upper,
            forecast=facts,
        )


def _placed(
    rules: Sequence[ForecastRule], default_rules: Sequence[ForecastRule]
) -> Iterator[tuple[str, ForecastRule]]:
    for n, rule in enumerate(rules):
        yield f"detect.forecast.rules[{n}]", rule
    for n, rule in enumerate(default_rules):
        yield f"detect.forecast.default_rules[{n}]", rule


def _bound(rule: ForecastRule) -> float:
    if rule.above is not None:
        return rule.above
    return rule.below if rule.below is not None else float("nan")
