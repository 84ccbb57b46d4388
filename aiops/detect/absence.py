"""Absence: which series and groups of series stopped sending, or send late.

Rows go by `hear` before intake takes them, time by `sweep`; anomalies that opened or closed come
out. A true zero is a value and nothing here: only samples that do not come count.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import orjson

from aiops.config import DetectConfig
from aiops.detect.absence_book import AbsenceBook, Sighting
from aiops.detect.absence_groups import AbsenceGroups
from aiops.detect.absence_slots import REPLACED_SPAN_MS, AbsenceSlots, Look
from aiops.detect.absence_verdict import (
    ENDED,
    LATE,
    NONE,
    PARTIAL,
    REASONS,
    SILENT,
    Verdicts,
    judge_groups,
    silence_score,
)
from aiops.detect.arrays import under
from aiops.detect.kernels import absence as layout
from aiops.domain.absence import AbsenceEnd, AbsenceFacts, AbsenceReason
from aiops.domain.anomaly import AnomalyEvent
from aiops.domain.labels import Labels
from aiops.domain.samples import I32, I64, U64

SWEEP_INTERVAL_MS = 5000
"""Chosen: a twenty-fourth of the default floor; at a million series a sweep takes some 20 ms."""

UNHEARD_TICKS = 2
UNHEARD_MS = 5000
"""Chosen: ticks that stay away for two intervals and 5 s mean that we were down, or stood still;
what did not come meanwhile is no absence."""

SERIES_SCORE_MAX = 10.0
"""Chosen: below what is critical for one series (`correlate.severity`); silence is no proof of
harm. Each factor of ten in series adds 1, so a group of a hundred is critical."""

GROUP_SCORE_MAX = 16.0
"""Chosen: as much as a million series give."""


@dataclass(frozen=True, slots=True)
class SeriesNames:
    """How the sweep names a series: the table's fingerprints and labels by slot."""

    fingerprints: U64
    labels_of: Callable[[int], Labels]


@dataclass(slots=True)
class Sweep:
    """What time brought: changes of absences, and series that are silent from now on."""

    events: list[AnomalyEvent] = field(default_factory=list)
    fell: I32 = field(default_factory=lambda: np.empty(0, np.int32))


class Absence:
    """Watches over all slots and their groups.

    Parameters
    ----------
    config
        `absence` and the bound `anomalies_open_max`.
    tick_interval_s
        How often time is told, at most that far apart while the service runs.
    capacity
        Number of slots.

    Notes
    -----
    Python runs only for what is new, changed or open. Irregular series, and those just met, are
    never absent by themselves, but are heard for their group. Where a sender leaves no staleness
    markers, an instance that was taken away on purpose looks like one that died.
    """

    def __init__(self, config: DetectConfig, tick_interval_s: float, capacity: int) -> None:
        self._config = config.absence
        self._floor_ms = 1000 * config.absence.floor_s
        self._unheard_ms = int(UNHEARD_TICKS * 1000 * tick_interval_s) + UNHEARD_MS
        self._slots = AbsenceSlots(config.absence, capacity)
        self._groups = AbsenceGroups(config.absence.group_by)
        self._book = AbsenceBook(config.anomalies_open_max)
        self._tick_ms = 0
        self._swept_ms = 0
        self._listen_ms = 0
        self._late_from_ms = 0

    @property
    def open_now(self) -> int:
        """How many absences are open."""
        return len(self._book)

    @property
    def shed_total(self) -> int:
        """How many times an absence was not opened because the bound was met."""
        return self._book.shed_total

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        self._slots.grow(capacity)

    def admit(self, slots: I32, labels_of: Callable[[int], Labels], now_ms: int) -> None:
        """Put new series into their groups."""
        if self._config.enabled:
            for slot in slots.tolist():
                self._slots.groups_of[slot] = self._groups.join(labels_of(slot), now_ms)

    def hear(self, slot_values: U64, ts_ms: I64, now_ms: int, track: I64) -> list[AnomalyEvent]:
        """Learn from rows that intake has not taken yet; return absences of series that ended."""
        if not self._config.enabled:
            return []
        returned = self._slots.hear((slot_values, ts_ms), now_ms, track, self._groups)
        return [self._book.close(slot, at_ms, AbsenceEnd.RETURNED) for slot, at_ms in returned]

    def sweep(self, now_ms: int, track: I64, names: SeriesNames) -> Sweep:
        """Let time pass; return what changed by it, at most every `SWEEP_INTERVAL_MS`.

        Parameters
        ----------
        track
            int64[n_slots, 4], intake's, of all slots that were ever given.
        names
            Who the slots are.
        """
        if not self._config.enabled:
            return Sweep(self._drop(self._book.owners(), now_ms))
        self._listen(now_ms)
        if now_ms - self._swept_ms < SWEEP_INTERVAL_MS:
            return Sweep()
        self._groups.fade(now_ms - self._swept_ms if self._swept_ms else 0)
        self._swept_ms = now_ms
        clock = (now_ms, self._listen_ms)
        look = self._slots.look(clock, self._late_from_ms, track, self._groups)
        verdicts = judge_groups(
            self._groups, look.times, look.tally, config=self._config, clock=clock
        )
        events = self._drop(self._orphans(), now_ms)
        events += self._tell_groups(verdicts, look, self._since(verdicts, look.own))
        events += self._tell_series(verdicts, look, names)
        self._watch()
        return Sweep(events, look.fell)

    def forget(self, slots: I32, now_ms: int) -> list[AnomalyEvent]:
        """Take series out of their groups; return their absences, closed."""
        gone = slots[self._slots.groups_of[slots] >= 0]
        ended = self._groups.leave(self._slots.groups_of[gone].tolist())
        owners = [*gone.tolist(), *(-1 - group for group in ended)]
        events = self._drop([owner for owner in owners if owner in self._book], now_ms)
        self._slots.forget(gone)
        return events

    def state(self, n_slots: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot, as live views."""
        clock = (self._tick_ms, self._swept_ms, self._listen_ms, self._late_from_ms)
        groups = self._groups.state()
        return {
            **self._slots.state(n_slots),
            "absence.clock": np.array([*clock, self._book.shed_total], np.int64),
            "absence.names": np.frombuffer(orjson.dumps(self._groups.names), np.uint8),
            "absence.open": self._book.dump(),
            **{_GROUP_PREFIX + name: column for name, column in groups.items()},
        }

    def restore(
        self,
        arrays: Mapping[str, npt.NDArray[np.generic]],
        live: I32,
        labels_of: Callable[[int], Labels],
    ) -> None:
        """Take over a snapshot; one of a release without absences begins anew.

        With groups made by other labels the groups begin anew, and what was open of the former
        ones is closed by the next sweep.
        """
        if not any(name.startswith("absence.") for name in arrays):
            self.admit(live, labels_of, 0)
            return
        self._slots.restore(arrays, len(arrays["absence.groups_of"]))
        *clock, self._book.shed_total = arrays["absence.clock"].tolist()
        self._tick_ms, self._swept_ms, self._listen_ms, self._late_from_ms = clock
        self._book.load(arrays["absence.open"])
        groups_of = self._slots.groups_of
        if tuple(orjson.loads(arrays["absence.names"].tobytes())) != self._groups.names:
            groups_of[:] = -1
        else:
            known = live[groups_of[live] >= 0]
            members = ((int(groups_of[slot]), labels_of(slot)) for slot in known.tolist())
            self._groups.restore(under(_GROUP_PREFIX, arrays), members)
        # those that came while watching was off, or all when the groups are new
        unknown: I32 = live[groups_of[live] < 0]
        self.admit(unknown, labels_of, self._tick_ms)
        self._forget_unbooked()
        self._watch()

    def _forget_unbooked(self) -> None:
        """Let nothing count as open that is not: watching was off for a while, all was closed."""
        phases, reasons = self._slots.phases, self._groups.reasons
        for slot in np.flatnonzero(phases & layout.OPEN).tolist():
            if slot not in self._book:
                phases[slot] &= layout.SILENT
        for group in np.flatnonzero(reasons).tolist():
            if -1 - group not in self._book:
                reasons[group] = NONE

    def _listen(self, now_ms: int) -> None:
        """Note since when we have been there without a break."""
        away_ms = now_ms - self._tick_ms
        if self._tick_ms == 0:
            self._listen_ms = now_ms
        elif away_ms > self._unheard_ms:
            self._listen_ms = now_ms
            # senders get as long as we were away to catch up
            self._late_from_ms = now_ms + max(away_ms, self._floor_ms)
        elif away_ms < 0:  # the clock was set back: nothing is known of how long anybody is silent
            self._listen_ms = now_ms
            self._swept_ms = min(self._swept_ms, now_ms)
            self._slots.put_back(now_ms)
            self._groups.put_back(now_ms)
        self._tick_ms = now_ms

    def _since(self, verdicts: Verdicts, own: I32) -> I64:
        """Return when each group was last whole: for partial ones, when the first member was."""
        since_ms = verdicts.since_ms.copy()
        partial_ms: I64 = np.full(len(since_ms), layout.NEVER_MS, np.int64)
        np.minimum.at(partial_ms, self._slots.groups_of[own], self._slots.heard_ms[own])
        is_partial = verdicts.codes == PARTIAL
        since_ms[is_partial] = partial_ms[is_partial]
        return since_ms

    def _tell_groups(self, verdicts: Verdicts, look: Look, since_ms: I64) -> Iterator[AnomalyEvent]:
        groups = self._groups
        reasons = groups.reasons[: groups.n_rows]
        changed = (verdicts.codes != reasons) & ~(verdicts.is_covered & (reasons == NONE))
        for group in np.flatnonzero(changed).tolist():
            code, owner = int(verdicts.codes[group]), -1 - group
            if code == NONE:
                yield self._end_group(group, look)
                continue
            event = self._book.note(owner, self._sight_group(group, code, since_ms, look))
            if event is not None:
                if reasons[group] == NONE:
                    groups.first_ms[group] = 0
                reasons[group] = code
                yield event

    def _sight_group(self, group: int, code: int, since_ms: I64, look: Look) -> Sighting:
        times, tally = look.times[group].tolist(), look.tally[group].tolist()
        n_absent, n_series = tally[_ABSENT[code]], tally[layout.DUE]
        if code != PARTIAL:
            n_series -= tally[layout.PAST]  # silent long before
        if code == ENDED:
            n_series += n_absent
        span_ms = look.now_ms - int(since_ms[group])
        if code == LATE:
            span_ms = 1000 * tally[layout.LATE_S] // max(tally[layout.LATE], 1)
        high_ms, typical_ms = times[layout.PACE_MS], times[layout.TYPICAL_MS]
        if tally[layout.DUE] == 0:  # nobody is left who is waited for
            high_ms = typical_ms
        score = min(silence_score(span_ms, typical_ms, high_ms), SERIES_SCORE_MAX)
        return Sighting(
            self._groups.fingerprint(group),
            self._groups.labels(group),
            AbsenceFacts(REASONS[code - 1], n_absent, n_series),
            look.now_ms,
            span_ms,
            (typical_ms, max(self._floor_ms, self._config.factor * high_ms)),
            min(score + math.log10(max(n_absent, 1)), GROUP_SCORE_MAX),
        )

    def _end_group(self, group: int, look: Look) -> AnomalyEvent:
        groups = self._groups
        reason, first_ms = int(groups.reasons[group]), int(groups.first_ms[group])
        heard_ms = int(look.times[group, layout.HEARD_MS])
        end, end_ms = AbsenceEnd.RETURNED, first_ms or heard_ms
        if reason == LATE:
            end, end_ms = AbsenceEnd.CAUGHT_UP, heard_ms
        elif reason == PARTIAL:
            end_ms = heard_ms
        elif first_ms == 0:
            end, end_ms = AbsenceEnd.REPLACED, look.now_ms
        if reason == ENDED and end is AbsenceEnd.RETURNED:
            groups.returns[group] += 1.0
        groups.reasons[group] = NONE
        return self._book.close(-1 - group, end_ms, end)

    def _tell_series(
        self, verdicts: Verdicts, look: Look, names: SeriesNames
    ) -> Iterator[AnomalyEvent]:
        """Tell single series whose group lives on."""
        own = look.own
        groups = self._slots.groups_of[own]
        is_group = (verdicts.codes[groups] != NONE) | verdicts.is_covered[groups]
        if self._config.series_per_group_max:
            for slot in own[~is_group].tolist():
                if slot not in self._book:
                    yield from self._open_series(slot, look, names)
        overdue = set(own.tolist())
        for slot in [owner for owner in self._book.owners() if owner >= 0]:
            heard_ms, group = int(self._slots.heard_ms[slot]), self._slots.groups_of[slot]
            if self._book.reason(slot) is AbsenceReason.LATE:
                if slot not in overdue:
                    yield self._book.close(slot, heard_ms, AbsenceEnd.CAUGHT_UP)
            elif self._groups.newborn_ms[group] >= heard_ms - REPLACED_SPAN_MS:
                self._slots.phases[slot] &= ~np.uint8(layout.OPEN)
                yield self._book.close(slot, look.now_ms, AbsenceEnd.REPLACED)

    def _open_series(self, slot: int, look: Look, names: SeriesNames) -> Iterator[AnomalyEvent]:
        typical_ms, high_ms = self._slots.rhythm_ms(slot)
        longest_ms = max(self._floor_ms, self._config.factor * high_ms)
        heard_ms = int(self._slots.heard_ms[slot])
        span_ms, reason = look.now_ms - heard_ms, AbsenceReason.SILENT
        if span_ms <= longest_ms:
            span_ms, reason = heard_ms - int(look.track[slot, layout.LAST_TS]), AbsenceReason.LATE
        seen = Sighting(
            int(names.fingerprints[slot]),
            names.labels_of(slot),
            AbsenceFacts(reason, 1, 1),
            look.now_ms,
            span_ms,
            (typical_ms, longest_ms),
            min(silence_score(span_ms, typical_ms, high_ms), SERIES_SCORE_MAX),
        )
        event = self._book.note(slot, seen)
        if event is not None:
            if reason is AbsenceReason.SILENT:
                self._slots.phases[slot] |= layout.OPEN
            yield event

    def _orphans(self) -> list[int]:
        """Return absences of groups that are made by other labels since a change of config."""
        reasons, n = self._groups.reasons, self._groups.n_rows
        groups = [-1 - owner for owner in self._book.owners() if owner < 0]
        return [-1 - group for group in groups if group >= n or reasons[group] == NONE]

    def _drop(self, owners: list[int], now_ms: int) -> list[AnomalyEvent]:
        return [self._book.close(owner, now_ms, AbsenceEnd.FORGOTTEN) for owner in owners]

    def _watch(self) -> None:
        """Mark the groups of which the next sample ends an absence, their own or a larger one."""
        n = self._groups.n_rows
        is_open = self._groups.reasons[:n] != NONE
        self._groups.watched[:n] = self._groups.below(is_open, itself=True)


_ABSENT = {
    SILENT: layout.OVERDUE,
    ENDED: layout.TOGETHER,
    LATE: layout.LATE,
    PARTIAL: layout.OWN,
}
"""Which count says how many series of a group are absent, by verdict."""

_GROUP_PREFIX = "absence.group."
