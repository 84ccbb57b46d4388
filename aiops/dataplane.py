"""The data plane: one batch of samples through series, detectors and memory, as columns.

The core half of the pipeline that owns every per-series array. It has one writer, the engine, and
is deterministic: the same batches in the same order leave the same bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aiops.anomaly_notes import AnomalyNotes
from aiops.batch_rows import BatchRows
from aiops.clock import day_of
from aiops.config import Config
from aiops.derived_book import DerivedRows
from aiops.derived_watch import DerivedWatch, Former
from aiops.detect.absence import Absence, SeriesNames
from aiops.detect.banks.river_bank import RiverBank
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.budget import FLEET, AlarmBudget
from aiops.detect.challenger import Comparison, Tally
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import EpisodeEvent
from aiops.detect.rules import DetectionRules
from aiops.domain.anomaly import AnomalyEvent
from aiops.domain.records import Evict, MetadataBatch
from aiops.domain.samples import I32, I64, SampleBatch
from aiops.domain.selector import parse_selector
from aiops.forecast_watch import ForecastWatch
from aiops.group_watch import GroupWatch
from aiops.river_watch import RiverWatches
from aiops.series.kernels import intake
from aiops.series.quality import QualityState
from aiops.series.table import DERIVED, SeriesTable
from aiops.store.head import Head, JudgedRows, SealedBlock, SealedGroup
from aiops.store.kernels.head import GROUP_SLOTS

BATCH_ROWS_MAX = 32_768
"""Chosen: rows worked on at once; the columns between the stages then stay in the L2 cache."""

SLOTS_START = 262_144
"""Measured (bench_ingest): growing by doubling copies every row once more, 5 us a new series.
Untouched pages take no memory, so room for this many is free until series come."""

QUALITY_ROWS_BEFORE = 7
"""Chosen: an anomaly opens up to two misses after its samples, and five rows before may matter."""

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(slots=True)
class Outcome:
    """What a batch brought about: changes of anomalies, and rows that left memory."""

    events: list[AnomalyEvent] = field(default_factory=list)
    sealed: list[SealedBlock] = field(default_factory=list)


class DataPlane:
    """Series table, detector banks and newest rows behind one door.

    Parameters
    ----------
    config
        Bounds and detector settings.
    """

    def __init__(self, config: Config) -> None:
        detect = config.detect
        capacity = min(config.limits.series_max, SLOTS_START)
        self.table = SeriesTable([parse_selector(text) for text in detect.ignore], capacity)
        self.bank = SeasonalBank(detect, capacity)
        self.budget = AlarmBudget(config.alarms, detect, capacity, SeasonalBank.name)
        self.episodes = self.budget.episodes
        self.absence = Absence(detect, config.engine.tick_interval_s, capacity)
        window_rows = detect.open_samples + QUALITY_ROWS_BEFORE
        self.quality = QualityState(window_rows, capacity)
        self.rules = DetectionRules(
            detect, capacity, rows_max=BATCH_ROWS_MAX, window_rows=window_rows
        )
        self.notes = AnomalyNotes(self.table, self.quality, self.rules)
        self.head = Head(config.store.chunk_rows, capacity)
        self.counts = np.zeros(intake.COUNTS_SIZE, np.int64)
        """Rows by fate since start; indices in `series.kernels.intake`."""
        self.forgotten_ms = -1
        """Time of the newest row among series that were forgotten, -1 when none ever was."""
        self._named_days = _unnamed(capacity)
        self._out = ScoreColumns.allocate(BATCH_ROWS_MAX)
        self._rows = BatchRows.allocate(BATCH_ROWS_MAX)
        self._derived_rows = BatchRows.allocate(BATCH_ROWS_MAX)
        self._river = RiverWatches(detect, self.rules.columns, self.table.labels, BATCH_ROWS_MAX)
        self.groups = GroupWatch(detect, self.table, BATCH_ROWS_MAX)
        self.derived = DerivedWatch(config.derived, self.table, capacity)
        self.forecasts = ForecastWatch(detect, self.table, self.bank, capacity)

    def take(self, batch: SampleBatch, now_ms: int) -> Outcome:
        """Run a batch through every stage."""
        outcome = self._begin()
        if batch.new_blocks:
            self._admit(batch, now_ms, outcome)
        for start in range(0, len(batch), BATCH_ROWS_MAX):
            part = slice(start, start + BATCH_ROWS_MAX)
            rows = self._prepare(batch, part, now_ms, outcome)
            self._take_rows(rows, now_ms, outcome)
            n = rows.n_rows
            kept = (rows.slots[:n], rows.ts_ms[:n], rows.bits[:n])
            for derived in self.derived.follow(*kept, now_ms):
                self._take_rows(self._prepare_derived(derived, now_ms), now_ms, outcome)
        return outcome

    def tick(self, now_ms: int) -> Outcome:
        """Let time pass: series that stay away become absent, and no longer deviate."""
        outcome = self._begin()
        table = self.table
        names = SeriesNames(table.fingerprints, table.labels)
        swept = self.absence.sweep(now_ms, table.track[: table.n_slots], names)
        # what is absent opens before what it takes over from closes, so that no incident ends
        outcome.events += swept.events
        if len(swept.fell):
            fell = self.derived.with_derived(swept.fell)
            self._note(self.episodes.reset(fell), SeasonalBank.name, outcome)
            for detector, told in self._river.lose(fell):
                self._note(told, detector, outcome)
            last_ms = int(table.track[fell, intake.LAST_TS].max())
            outcome.events.extend(self.groups.close(fell, last_ms))
        outcome.events.extend(self.forecasts.tick(now_ms))
        return outcome

    def learn_metadata(self, batch: MetadataBatch, now_ms: int) -> Outcome:
        """Take over family types; series of another kind start to learn anew."""
        outcome = self._begin()
        self._change_kinds(self.table.learn_metadata(batch.entries), outcome, now_ms)
        return outcome

    def evict(self, order: Evict, now_ms: int) -> Outcome:
        """Forget series: seal their rows, close their anomalies, free their slots."""
        outcome = self._begin()
        fingerprints = np.array(order.fingerprints, np.uint64)
        slot_values = np.empty(len(fingerprints), np.uint64)
        self.table.find(fingerprints, slot_values)
        live = slot_values[slot_values < np.uint64(self.table.n_slots)].astype(np.int32)
        sent: I32 = np.unique(live[self.table.seen_ms[live] < order.idle_before_ms])
        idle, former = self.derived.forget(sent)
        self._change_kinds(former, outcome, now_ms)
        if len(idle):
            newest_ms = int(self.table.track[idle, intake.LAST_TS].max())
            self.forgotten_ms = max(self.forgotten_ms, newest_ms)
        self._seal_groups(idle, outcome)
        self._reset_detectors(idle, outcome, now_ms)
        self._river.forget(idle)
        outcome.events.extend(self.groups.forget(idle, now_ms))
        outcome.events += self.absence.forget(idle, now_ms)
        self.quality.reset(idle)
        self.rules.forget(idle)
        self.forecasts.forget(idle)
        self.table.evict(self.table.fingerprints[idle].tolist(), order.idle_before_ms)
        self.head.forget(idle)
        return outcome

    def challengers(self) -> tuple[Comparison, ...]:
        """Return how the challengers compare with the detectors that decide."""
        return self._river.comparisons()

    def challenger_tallies(self) -> dict[str, Tally]:
        """Return the running tally of each challenger by its name; only read."""
        return self._river.tallies()

    def state(self) -> Arrays:
        """Return all arrays of a snapshot, as live views; label blocks as bytes with lengths."""
        n = self.table.n_slots
        blocks = [self.table.block(slot) for slot in range(n)]
        arrays: Arrays = {
            "labels.blocks": np.frombuffer(b"".join(blocks), np.uint8),
            "labels.lengths": np.array([len(block) for block in blocks], np.int32),
            "labels.days": self._named_days[: -(-n // GROUP_SLOTS)],
            "labels.forgotten_ms": np.array([self.forgotten_ms], np.int64),
            **self.table.state(),
            **self.head.state(n),
            **self._river.state(n),
            **self.absence.state(n),
            **self.quality.state(n),
            **self.rules.state(n),
            **self.notes.state(),
            **self.groups.state(n),
            **self.derived.state(n),
            **self.forecasts.state(),
            **self.budget.state(),
        }
        arrays.update(self.bank.state(n))
        for name, array in self.episodes.state().items():
            arrays[name] = array[:n] if len(array) == self.table.capacity else array
        return arrays

    def restore(
        self, arrays: Mapping[str, npt.NDArray[np.generic]], metadata: MetadataBatch
    ) -> None:
        """Take over a snapshot into this fresh data plane."""
        lengths = arrays["labels.lengths"].tolist()
        text = arrays["labels.blocks"].tobytes()
        ends = np.cumsum(lengths).tolist()
        blocks = [text[end - size : end] for end, size in zip(ends, lengths, strict=True)]
        self.table.restore(arrays, blocks, metadata.entries)
        self._grow()
        n = self.table.n_slots
        self.bank.restore(arrays, n)
        self.episodes.restore(arrays, n)
        self.head.restore(arrays)
        self._named_days[: len(arrays["labels.days"])] = arrays["labels.days"]
        self.forgotten_ms = int(arrays["labels.forgotten_ms"][0])
        live = self.table.index.select(())
        self.derived.restore(arrays, live)
        self.rules.restore(arrays, live, self.table.labels)
        self.bank.limit_seasons(live, self.rules.columns.seasons[live])
        self._river.restore(arrays, live)
        sent: I32 = live[self.table.roles[live] != DERIVED]
        self.absence.restore(arrays, sent, self.table.labels)
        self.quality.restore(arrays, n)
        self.notes.restore(arrays)
        self.groups.restore(arrays, live)
        self.forecasts.restore(arrays, live)
        self.budget.restore(arrays, live, self.table.labels)
        self.groups.follow_budget(self.budget.levels()[FLEET])

    def _begin(self) -> Outcome:
        outcome = Outcome()
        for detector, told in self._river.settle():
            self._note(told, detector, outcome)
        return outcome

    def _admit(self, batch: SampleBatch, now_ms: int, outcome: Outcome) -> None:
        slots = self.table.add(batch.new_fingerprints, batch.new_blocks, now_ms)
        self._enter(slots)
        self.absence.admit(slots, self.table.labels, now_ms)
        self._change_kinds(self.derived.admit(slots), outcome, now_ms)

    def _enter(self, slots: I32) -> None:
        self._grow()
        self._named_days[slots // GROUP_SLOTS] = -1
        self.rules.admit(slots, self.table.labels)
        self.bank.limit_seasons(slots, self.rules.columns.seasons[slots])
        self._river.admit(slots)
        self.budget.admit(slots, self.table.labels)
        self.groups.admit(slots)
        self.forecasts.admit(slots)

    def _grow(self) -> None:
        capacity = self.table.capacity
        self.bank.grow(capacity)
        self.episodes.grow(capacity)
        self.head.grow(capacity)
        self._river.grow(capacity)
        self.absence.grow(capacity)
        self.quality.grow(capacity)
        self.rules.grow(capacity)
        self.groups.grow(capacity)
        self.derived.grow(capacity)
        self.forecasts.grow(capacity)
        if capacity > GROUP_SLOTS * len(self._named_days):
            grown = _unnamed(capacity)
            grown[: len(self._named_days)] = self._named_days
            self._named_days = grown

    def _judged(self) -> I32:
        live = self.table.index.select(())
        judged: I32 = live[self.table.track[live, intake.KIND] <= intake.COUNTER]
        return judged

    def _take_rows(self, rows: BatchRows, now_ms: int, outcome: Outcome) -> None:
        self._judge(rows, outcome)
        n = rows.n_rows
        self.budget.advance(rows.slots[:n], rows.ts_ms[:n], now_ms, self._judged)
        self.groups.follow_budget(self.budget.levels()[FLEET])
        self._remember(rows, outcome)

    def _prepare(self, batch: SampleBatch, part: slice, now_ms: int, outcome: Outcome) -> BatchRows:
        rows, track = self._rows, self.table.track
        fingerprints, ts_ms = batch.fingerprints[part], batch.ts_ms[part]
        slot_values = rows.slot_values[: len(fingerprints)]
        self.table.find(fingerprints, slot_values)
        outcome.events += self.absence.hear(slot_values, ts_ms, now_ms, track)
        rows.prepare(slot_values, ts_ms, batch.values[part].view(np.uint64), track)
        self.counts += rows.counts
        judged = (slot_values, ts_ms, rows.fates[: len(ts_ms)])
        self.quality.note(judged, now_ms, self.table.seen_ms, rows.words)
        return rows

    def _prepare_derived(self, derived: DerivedRows, now_ms: int) -> BatchRows:
        if len(derived.new_slots):
            self._enter(derived.new_slots)
        rows = self._derived_rows
        n = rows.prepare(derived.slot_values, derived.ts_ms, derived.bits, self.table.track)
        self.table.seen_ms[rows.slots[:n]] = now_ms
        rows.words[:n] = 0  # they come as observations do: no gap or delay of theirs is odd
        return rows

    def _judge(self, rows: BatchRows, outcome: Outcome) -> None:
        n = rows.n_rows
        slots, ts_ms, features = rows.slots[:n], rows.ts_ms[:n], rows.features[:n]
        words = rows.words[:n]
        rows.in_anomaly[:n] = 0
        judged = self.rules.prepare(slots, features, words)
        self.bank.score_learn(slots, ts_ms, judged, self._out)
        self._out.parts[:n] |= words
        self.rules.apply(slots, features, self._out)
        events = self.episodes.step(slots, ts_ms, features, self._out, rows.in_anomaly)
        self._note(events, SeasonalBank.name, outcome)
        marks = rows.in_anomaly[:n]
        for detector, told in self._river.judge(slots, ts_ms, features, self._out, marks):
            self._note(told, detector, outcome)
        outcome.events += self.notes.release(slots, ts_ms, features, words)
        outcome.events.extend(self.groups.judge(slots, ts_ms, judged, self._out.scores))
        self.forecasts.learn(slots, ts_ms, features)
        if rows.counts[intake.N_STALE]:
            ended = rows.flags[:n] == 2
            self._close(slots[ended], int(ts_ms[ended].max()), outcome)

    def _remember(self, rows: BatchRows, outcome: Outcome) -> None:
        n = rows.n_rows
        judged = JudgedRows(
            rows.slots[:n],
            rows.ts_ms[:n],
            rows.bits[:n],
            rows.features[:n],
            self._out.scores[:n],
            self._out.expected[:n],
            self._out.half[:n],
            rows.in_anomaly[:n],
        )
        for sealed in self.head.append(judged):
            outcome.sealed.append(self._identified(sealed))

    def _seal_groups(self, slots: I32, outcome: Outcome) -> None:
        for group in np.unique(slots // GROUP_SLOTS).tolist():
            sealed = self.head.seal(group)
            if len(sealed.rows):
                outcome.sealed.append(self._identified(sealed))

    def _identified(self, sealed: SealedGroup) -> SealedBlock:
        first = sealed.group * GROUP_SLOTS
        members = range(first, min(first + GROUP_SLOTS, self.table.n_slots))
        fingerprints = np.zeros(GROUP_SLOTS, np.uint64)
        fingerprints[: len(members)] = self.table.fingerprints[members.start : members.stop]
        kinds = np.zeros(GROUP_SLOTS, np.int64)
        kinds[: len(members)] = self.table.track[members.start : members.stop, intake.KIND]
        labels: tuple[bytes, ...] = ()
        day = day_of(sealed.span_ms[1])  # the day file that the block goes to
        if self._named_days[sealed.group] != day:
            self._named_days[sealed.group] = day
            labels = tuple(self.table.block(slot) for slot in members)
        return SealedBlock(sealed, fingerprints, kinds, labels)

    def _change_kinds(self, former: Former, outcome: Outcome, now_ms: int) -> None:
        if not former:
            return
        changed: I32 = np.fromiter(former, np.int32, len(former))
        kinds = self.table.track[changed, intake.KIND]
        # Rows in memory were judged by the former kind, and their block has to say so.
        self.table.track[changed, intake.KIND] = list(former.values())
        self._seal_groups(changed, outcome)
        self.table.track[changed, intake.KIND] = kinds
        self._reset_detectors(changed, outcome, now_ms)

    def _reset_detectors(self, slots: I32, outcome: Outcome, now_ms: int) -> None:
        self._close(slots, now_ms, outcome)
        self.bank.reset(slots)
        self.episodes.reset(slots)
        self.rules.reset(slots)
        self._river.reset(slots)
        self.groups.reset(slots)
        self.forecasts.reset(slots)

    def _close(self, slots: I32, now_ms: int, outcome: Outcome) -> None:
        self._note(self.episodes.close_stale(slots, now_ms), SeasonalBank.name, outcome)
        for detector, told in self._river.close(slots, now_ms):
            self._note(told, detector, outcome)
        outcome.events.extend(self.groups.close(slots, now_ms))
        outcome.events.extend(self.forecasts.close(slots, now_ms))

    def _note(self, events: Sequence[EpisodeEvent], detector: str, outcome: Outcome) -> None:
        version = self.bank.version if detector == self.bank.name else RiverBank.version
        outcome.events += self.notes.tell(events, detector, version)


def _unnamed(capacity: int) -> I64:
    """Return, for each group of slots, the day whose file has its labels: none yet."""
    return np.full(-(-capacity // GROUP_SLOTS), -1, np.int64)
