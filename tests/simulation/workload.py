"""Seeded journal records of everything the core can be told, small and eventful."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from aiops.config import Config
from aiops.domain.action import ActionMode, ActionOutcome, OutcomeStatus
from aiops.domain.alert import Alert
from aiops.domain.labels import labels_from
from aiops.domain.records import (
    AlertBatch,
    Body,
    Command,
    CommandVerb,
    Evict,
    MetadataBatch,
    Record,
    Tick,
)
from aiops.domain.samples import STALE_BITS, MetricMetadata, SampleBatch
from aiops.notify.rules import ReceiverRule
from aiops.pipeline import Core
from aiops.remediate.playbook import ActionSpec, HttpAction, Playbook
from aiops.wire.labels import encode_labels

T0_MS = 1_700_000_000_000
SERVICES = ("cart", "checkout", "search")
FAMILIES = ("latency", "errors_total", "heat", "jobs")
KINDS = ("gauge", "counter", "histogram", "summary", "unknown")


def small_config(*, series_max: int = 1000) -> Config:
    return Config.model_validate(
        {
            "limits": {"series_max": series_max},
            "store": {"chunk_rows": 16},
            "detect": {
                "warmup_samples": 20,
                "alarm_score": 2.0,
                "clear_score": 1.0,
                "open_samples": 2,
                "close_samples": 2,
                "anomalies_open_max": 10,
                "ignore": ['{__name__="heat", service="search"}'],
                "rules": [
                    {"match": '{service="cart"}', "valid_max": 250, "warmup_samples": 30},
                    {"match": '{service="checkout"}', "threshold_above": 200, "direction": "up"},
                ],
                "group": {"by": ["service"]},
                "peers": {"replica_labels": ["pod"], "peers_min": 2},
            },
            "correlate": {
                "window_s": 60,
                "quiet_s": 30,
                "reopen_s": 90,
                "members_max": 3,
                "incidents_open_max": 2,
            },
        }
    )


def small_core(config: Config) -> Core:
    action = ActionSpec(http=HttpAction(url="http://deploy.internal/restart/{label:service}"))
    playbook = Playbook(name="restart", mode=ActionMode.DRY_RUN, action=action)
    receivers = (ReceiverRule("chat", "webhook"), ReceiverRule("am", "alertmanager"))
    return Core(
        config, receivers=receivers, playbooks=(playbook,), external_url="http://aiops.internal"
    )


@dataclass(slots=True)
class _Series:
    fingerprint: int
    block: bytes
    level: float
    is_announced: bool = False
    last: tuple[int, float] = (0, 0.0)


@dataclass
class Workload:
    """A fleet that misbehaves at random, as records; the same seed gives the same records.

    Parameters
    ----------
    seed
        Of everything.
    n_series
        Series that may appear; about half of them are there from the beginning.
    """

    seed: int
    n_series: int = 40
    _series: list[_Series] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._now_ms = T0_MS
        self._alerts: dict[int, Alert] = {}
        self._shift: dict[int, float] = {}
        self._incident_ids = ["inc-0-0"]
        keys = self._rng.integers(1, 2**64, self.n_series, np.uint64).tolist()
        for n, fingerprint in enumerate(keys):
            pairs = {
                "__name__": FAMILIES[n % 4],
                "service": SERVICES[n // 4 % 3],
                "pod": f"p{n}",
            }
            block = encode_labels(labels_from(pairs))
            self._series.append(_Series(fingerprint, block, float(self._rng.uniform(1, 100))))

    def records(self, n_records: int) -> Iterator[Record]:
        """Yield records from 1 on, time advancing with each."""
        for seq in range(1, n_records + 1):
            self._now_ms += int(self._rng.choice([0, 200, 5000, 15_000], p=[0.1, 0.2, 0.4, 0.3]))
            yield Record(seq, self._now_ms, self._body())

    def heard(self, incident_ids: list[str]) -> None:
        """Learn ids of incidents, so that commands can name them."""
        self._incident_ids = (self._incident_ids + incident_ids)[-8:]

    def _body(self) -> Body:
        makers = [
            (self._samples, 0.66),
            (self._tick, 0.12),
            (self._alert_batch, 0.1),
            (self._evict, 0.02),
            (self._command, 0.04),
            (self._metadata, 0.03),
            (self._outcome, 0.03),
        ]
        choice = self._rng.choice(len(makers), p=[share for _, share in makers])
        return makers[int(choice)][0]()

    def _tick(self) -> Tick:
        return Tick()

    def _samples(self) -> SampleBatch:
        rng = self._rng
        n_known = len(self._series) // 2 + int(rng.integers(len(self._series) // 2 + 1))
        chosen = rng.choice(n_known, int(rng.integers(1, n_known + 1)), replace=False).tolist()
        rows: list[tuple[int, int, float]] = []
        newcomers = []
        for n in chosen:
            series = self._series[n]
            if rng.random() < (0.02 if series.is_announced else 0.95):  # twice or late
                newcomers.append(series)
                series.is_announced = True
            rows += self._rows(n, series)
        fingerprints, ts_ms, values = zip(*rows, strict=True)
        return SampleBatch(
            np.array(fingerprints, np.uint64),
            np.array(ts_ms, np.int64),
            np.array(values, np.float64),
            tuple(series.fingerprint for series in newcomers),
            tuple(series.block for series in newcomers),
        )

    def _rows(self, n: int, series: _Series) -> Iterator[tuple[int, int, float]]:
        rng = self._rng
        for k in range(int(rng.integers(1, 4))):
            fate = rng.random()
            if fate < 0.03 and series.last[0]:  # a repeat, exact or with another value
                yield series.fingerprint, series.last[0], series.last[1] + (fate < 0.01)
            elif fate < 0.05:  # late
                yield series.fingerprint, series.last[0] - 7000, 1.0
            else:
                series.last = (self._now_ms + 10 * k, self._value(n, series))
                yield series.fingerprint, *series.last

    def _value(self, n: int, series: _Series) -> float:
        rng = self._rng
        if rng.random() < 0.02:
            marker = np.array([STALE_BITS], np.uint64).view(np.float64)[0]
            return float(rng.choice([marker, np.nan, np.inf, -0.0, 1e300, 5e-324]))
        if rng.random() < 0.03:
            self._shift[n] = float(rng.choice([0.0, 8.0, -5.0]))
        if n % 4 == 1:  # a counter, at times reset
            grown = series.last[1] if np.isfinite(series.last[1]) and rng.random() > 0.01 else 0.0
            return grown + float(rng.poisson(20 * (1 + abs(self._shift.get(n, 0.0)))))
        return series.level * (1 + self._shift.get(n, 0.0)) + float(rng.normal())

    def _alert_batch(self) -> AlertBatch:
        rng = self._rng
        alerts = []
        for n in rng.choice(6, int(rng.integers(1, 4)), replace=False).tolist():
            known = self._alerts.get(n)
            is_firing = known is None or not known.is_firing or rng.random() < 0.5
            starts_ms = self._now_ms if known is None or not known.is_firing else known.starts_at_ms
            severity = str(rng.choice(["warning", "critical"]))
            pairs = {"alertname": f"A{n}", "service": SERVICES[n % 3], "severity": severity}
            self._alerts[n] = Alert(
                fingerprint=f"{n:016x}",
                labels=labels_from(pairs),
                annotations=labels_from({"summary": f"it is {n} \u00e9"}),
                is_firing=is_firing,
                starts_at_ms=starts_ms,
                ends_at_ms=0 if is_firing else self._now_ms,
            )
            alerts.append(self._alerts[n])
        return AlertBatch(tuple(alerts))

    def _command(self) -> Command:
        verb = CommandVerb(str(self._rng.choice(["acknowledge", "resolve"])))
        return Command(verb, str(self._rng.choice(self._incident_ids)), "ada", "seen")

    def _outcome(self) -> ActionOutcome:
        status = OutcomeStatus(str(self._rng.choice(["dry-run", "succeeded", "failed"])))
        incident_id = str(self._rng.choice(self._incident_ids))
        return ActionOutcome("key", incident_id, "restart", "http", status, "200")

    def _metadata(self) -> MetadataBatch:
        rng = self._rng
        families = rng.choice(FAMILIES, int(rng.integers(1, 4)), replace=False).tolist()
        return MetadataBatch(
            tuple(MetricMetadata(name, str(rng.choice(KINDS)), f"help {name}") for name in families)
        )

    def _evict(self) -> Evict:
        """Order some series out; those seen lately stay, and all are announced again."""
        n_gone = int(self._rng.integers(1, len(self._series) // 2))
        gone = self._rng.choice(len(self._series), n_gone, replace=False).tolist()
        for n in gone:
            self._series[n].is_announced = False
        fingerprints = tuple(self._series[n].fingerprint for n in gone)
        return Evict(fingerprints, self._now_ms - int(self._rng.choice([0, 5000, 20_000])))
