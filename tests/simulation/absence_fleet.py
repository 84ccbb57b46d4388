"""A small fleet on simulated time whose senders misbehave on order; it collects anomalies."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from aiops.config import Config
from aiops.dataplane import DataPlane
from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent, AnomalyKind
from aiops.domain.labels import labels_from
from aiops.domain.records import Evict, MetadataBatch
from aiops.domain.samples import STALE_BITS, SampleBatch
from aiops.wire.labels import encode_labels

T0_MS = 1_700_000_000_000
STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])
SCRAPE_S = 15
TICK_S = 5
HOUR_S = 3600
DAY_S = 86_400

Row = tuple[int, int, float]


@dataclass
class Target:
    """One scraped instance: `n_series` of its own, and `up` which the scraper writes about it."""

    job: str
    instance: str
    n_series: int = 10
    interval_s: float = SCRAPE_S
    jitter_s: float = 0.5
    skew_s: float = 0.0
    offset_s: float = 0.0
    up: bool = True
    fingerprints: list[int] = field(default_factory=list)


class World:
    """Targets, a receiver and a clock; rows sent now may be held back and come later.

    Parameters
    ----------
    seed
        Of jitter and values.
    detect
        Settings of `detect`.
    """

    def __init__(self, seed: int = 1, **detect: object) -> None:
        self.config = Config.model_validate({"detect": detect})
        self.data = DataPlane(self.config)
        self.rng = np.random.default_rng(seed)
        self.now_s = 0.0
        self.events: list[AnomalyEvent] = []
        self.held: list[Row] | None = None
        """Rows on the way while the network is cut."""
        self.missing: set[int] = set()
        """Series that are not sent any more."""
        self.level: dict[int, float] = {}
        """Levels of single series; the others are at `value`, with noise where that is not 0."""
        self.value = 10.0
        self.clock_s = 0.0
        """How wrong our own clock is."""
        self.route: Callable[[list[Row]], object] = self.deliver
        """Where sent rows go."""
        self.ticking = True
        self._next_s: dict[int, float] = {}
        self._rested_s: dict[int, float] = {}
        self._fresh: list[tuple[int, bytes]] = []
        self.targets: list[Target] = []
        self._n_fingerprints = 0

    @property
    def now_ms(self) -> int:
        return T0_MS + int(1000 * (self.now_s + self.clock_s))

    def add(self, target: Target) -> Target:
        """Let a target appear."""
        names = [f"metric_{n}" for n in range(target.n_series)] + (["up"] if target.up else [])
        for name in names:
            self._n_fingerprints += 1
            fingerprint = self._n_fingerprints * 0x9E3779B97F4A7C15 % 2**64
            pairs = {"__name__": name, "job": target.job, "instance": target.instance}
            target.fingerprints.append(fingerprint)
            self._fresh.append((fingerprint, encode_labels(labels_from(pairs))))
        target.offset_s = float(self.rng.uniform(0, target.interval_s))
        self.targets.append(target)
        self._next_s[id(target)] = self.now_s + target.offset_s
        return target

    def remove(self, target: Target, *, markers: bool) -> None:
        """Let a target go, all its series ended by markers or not."""
        self.targets.remove(target)
        if markers:
            self.end(target, target.fingerprints)

    def die(self, target: Target) -> None:
        """Let a scraped target die: its own series end by markers, `up` goes on as 0."""
        own = target.fingerprints[: target.n_series]
        self.end(target, own)
        self.missing |= set(own)

    def revive(self, target: Target) -> None:
        """Bring all series of a target back."""
        self.missing -= set(target.fingerprints)
        if target not in self.targets:
            self.targets.append(target)
        self._next_s[id(target)] = self.now_s + 1

    def skip(self, target: Target, *, n_scrapes: int) -> None:
        """Let the next scrapes of a target fail, unless some failed just now."""
        if self.now_s > self._rested_s.get(id(target), 0.0):
            self._next_s[id(target)] += n_scrapes * target.interval_s
            self._rested_s[id(target)] = self._next_s[id(target)] + target.interval_s

    def cut(self) -> None:
        """Hold everything back on its way to us."""
        self.held = []

    def mend(self) -> None:
        """Deliver what was held back, old rows first, in requests as a sender makes them."""
        held, self.held = self.held or [], None
        for start in range(0, len(held), 500):
            self.run(1)
            self.deliver(held[start : start + 500])

    def run(self, span_s: float, every: Callable[[float], None] | None = None) -> None:
        """Let time pass; `every` is called before each tick with the time in s."""
        end_s = self.now_s + span_s
        while self.now_s < end_s:
            step_s = min(TICK_S, end_s - self.now_s)
            self.now_s += step_s
            if every is not None:
                every(self.now_s)
            self._scrape()
            if self.ticking:
                self.events += self.data.tick(self.now_ms).events

    def restart(self, away_s: float) -> None:
        """Stop our service, let the senders wait, and come back from a snapshot."""
        state = {name: array.copy() for name, array in self.data.state().items()}
        cut_before = self.held
        self.held = cut_before if cut_before is not None else []
        self.ticking = False
        self.run(away_s)
        self.ticking = True
        self.data = DataPlane(self.config)
        self.data.restore(state, MetadataBatch(()))
        if cut_before is None:
            self.events += self.data.tick(self.now_ms).events
            self.mend()

    def evict_idle(self) -> None:
        """Forget series that were silent for `engine.series_idle_s`, as the service does."""
        before_ms = self.now_ms - 1000 * self.config.engine.series_idle_s
        idle = self.data.table.idle(before_ms)
        self.events += self.data.evict(Evict(tuple(idle.tolist()), before_ms), self.now_ms).events

    def absences(self) -> list[Anomaly]:
        """Return the absences that opened so far, each in its last version."""
        last: dict[str, Anomaly] = {}
        for event in self.events:
            if event.anomaly.kind is AnomalyKind.ABSENCE:
                last[event.anomaly.anomaly_id] = event.anomaly
        return list(last.values())

    def open(self) -> list[Anomaly]:
        """Return the absences that have not ended."""
        return [anomaly for anomaly in self.absences() if anomaly.end_ms == 0]

    def end(self, target: Target, fingerprints: list[int]) -> None:
        """Send markers for series of a target."""
        at_ms = self._stamp(target) + 1  # after a scrape of this very moment
        self.send([(f, at_ms, STALE) for f in fingerprints if f not in self.missing])

    def _scrape(self) -> None:
        rows: list[Row] = []
        for target in self.targets:
            if self.now_s < self._next_s[id(target)]:
                continue
            jitter_s = float(self.rng.uniform(-1, 1)) * target.jitter_s
            self._next_s[id(target)] += target.interval_s
            if self._next_s[id(target)] <= self.now_s:
                self._next_s[id(target)] = self.now_s + target.interval_s + jitter_s
            stamp_ms = self._stamp(target)
            sent = [f for f in target.fingerprints if f not in self.missing]
            noise = self.rng.normal(size=len(sent)) * (self.value != 0)
            levels = [self.level.get(f, self.value) for f in sent]
            rows += zip(sent, [stamp_ms] * len(sent), (levels + noise).tolist(), strict=True)
        self.send(rows)

    def _stamp(self, target: Target) -> int:
        return T0_MS + int(1000 * (self.now_s + target.skew_s))

    def send(self, rows: Iterable[Row]) -> None:
        """Put rows on their way."""
        if self.held is not None:
            self.held += rows
        else:
            self.route(list(rows))

    def deliver(self, rows: list[Row]) -> None:
        """Let rows arrive now, in one request."""
        if not rows:
            return
        fingerprints, ts_ms, values = zip(*rows, strict=True)
        fresh, self._fresh = self._fresh, []
        batch = SampleBatch(
            np.array(fingerprints, np.uint64),
            np.array(ts_ms, np.int64),
            np.array(values, np.float64),
            tuple(fingerprint for fingerprint, _ in fresh),
            tuple(block for _, block in fresh),
        )
        self.events += self.data.take(batch, self.now_ms).events


def opened(world: World) -> list[tuple[str, dict[str, str]]]:
    """Return reason and labels of each absence so far."""
    return [
        (anomaly.absence.reason.value, dict(anomaly.labels))
        for anomaly in world.absences()
        if anomaly.absence is not None
    ]


def of_change(world: World, change: AnomalyChange) -> list[AnomalyEvent]:
    """Return the events of absences with one change."""
    return [
        event
        for event in world.events
        if event.change is change and event.anomaly.kind is AnomalyKind.ABSENCE
    ]
