"""The group bank: several series of one entity that are unusual together."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.detect.arrays import check_rows, copy_rows, grown, restored, writable
from aiops.detect.columns import ScoreColumns
from aiops.detect.kernels import group as layout
from aiops.detect.kernels.group import k_group_judge
from aiops.domain.samples import F64, I32, I64

ROUNDS_WARMUP = 300
"""Chosen: at 2 % beyond the tail's threshold so many rounds show it about six times."""


@dataclass(frozen=True, slots=True)
class JudgedRounds:
    """Rounds that ended in a batch: whose they were, and when their newest sample was taken."""

    entities: I32
    ts_ms: I64


class GroupBank:
    """Scores entities by how much of the unusual their series show together.

    Parameters
    ----------
    capacity
        Number of series slots.
    warmup_samples
        Samples of a series before it counts as evidence.
    members_min
        Series past their warm-up that an entity needs to be judged, at least 2.
    rows_max
        Most rows of one batch.

    Notes
    -----
    *Evidence* of a sample, in decades: what its own detector's score exceeds 1.5 by, plus, if it
    lies more than four spreads away from the level of all there was, twice the logarithm of the
    rest of that distance; at most 16. The first tells what is sudden, the second what has lasted
    longer than the detector takes to get used to it (the idea of SPOT, doi:10.1145/3097983.
    3098144, with moments instead of a fit). Evidence fades by 3 % a round, since a fault reaches
    metrics one after another.

    *Rounds.* An entity is judged once all its series reported, or as soon as one of them reports
    again; so the shortest of their scrape intervals counts. Only times of samples matter.

    *Score.* The mean evidence of the members, ranked against all rounds before it: -log10 of its
    tail probability, linear up to a running 98 % quantile, beyond it a generalised Pareto tail by
    moments, as in the seasonal bank, but with a long memory. The quantile and the excess beyond it
    never fall so low that one series, at its loudest, would score more than about 3: that is for
    the series' own detector to report. Dependence between the metrics needs no model, since the
    pooled figure is what is ranked (measured: residuals off a subspace, Mahalanobis distances and
    half-space trees add nothing: quality_group). A disturbance that lasts is got used to as its
    rounds enter the tail: within 40 rounds in an entity known for 1,000, within 300 or 1,000 in
    one known for 10,000 or 40,000.

    *Limits.* After a disturbance the score fades over some thirty rounds. Only members' own
    surprises count: a broken relation between metrics that all look ordinary is missed. Where
    all metrics ramp for ever, the entity is reported about once. Rows far out of time order
    between the series of an entity (back-filling) end rounds early.

    48 bytes a series and 88 an entity; about 45 ns a sample, linked members included
    (benchmark: bench_kernels).
    """

    name = "group"
    version = 1

    def __init__(
        self, capacity: int, *, warmup_samples: int, members_min: int, rows_max: int
    ) -> None:
        self._series: F64 = np.zeros((capacity, layout.SERIES_SIZE))
        self._links: I32 = np.zeros((capacity, layout.LINKS_SIZE), np.int32)
        self._entities: F64 = np.zeros((1, layout.ENTITY_SIZE))
        self._rounds: I64 = np.zeros((1, layout.ROUND_SIZE), np.int64)
        self._bounds = np.array([warmup_samples, members_min, ROUNDS_WARMUP], float)
        self._out_entities: I32 = np.zeros(rows_max, np.int32)
        self._out_ts_ms: I64 = np.zeros(rows_max, np.int64)
        self._verdicts: F64 = np.zeros((rows_max, layout.VERDICT_SIZE))

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` series."""
        self._series = grown(self._series, capacity)
        self._links = grown(self._links, capacity)

    def join(self, slot: int, entity: int) -> None:
        """Make a fresh series a member of an entity."""
        if entity >= len(self._entities):
            capacity = 2 * entity
            self._entities = grown(self._entities, capacity)
            self._rounds = grown(self._rounds, capacity)
        first = int(self._rounds[entity, layout.FIRST])
        self._series[slot] = 0
        self._links[slot] = 0
        self._links[slot, layout.ENTITY] = entity + 1
        self._links[slot, layout.NEXT] = first
        if first:
            self._links[first - 1, layout.PREVIOUS] = slot + 1
        self._rounds[entity, layout.FIRST] = slot + 1
        self._rounds[entity, layout.MEMBERS] += 1

    def leave(self, slot: int) -> int:
        """Take a series out of its entity; return the entity if none is left in it, else -1."""
        entity = self.entity_of(slot)
        if entity < 0:
            return -1
        before, after = (int(self._links[slot, k]) for k in (layout.PREVIOUS, layout.NEXT))
        if before:
            self._links[before - 1, layout.NEXT] = after
        else:
            self._rounds[entity, layout.FIRST] = after
        if after:
            self._links[after - 1, layout.PREVIOUS] = before
        self._rounds[entity, layout.MEMBERS] -= 1
        is_reported = self._links[slot, layout.REPORTED] == self._rounds[entity, layout.ROUND]
        self._rounds[entity, layout.N_REPORTED] -= is_reported
        self._series[slot] = 0
        self._links[slot] = 0
        if after or before:
            return -1
        self._entities[entity] = 0
        self._rounds[entity] = 0
        return entity

    def reset(self, slots: I32) -> None:
        """Forget what these series were like; they stay members."""
        self._series[slots] = 0

    def quieten(self, slots: I32) -> None:
        """Drop the evidence of series that ended, which nothing would contradict any more."""
        self._series[slots, layout.HELD] = 0

    def score_learn(
        self, slots: I32, ts_ms: I64, features: F64, scores: F64, out: ScoreColumns
    ) -> JudgedRounds:
        """Take in a batch as the series' own bank scored it; return the rounds that ended.

        `out` gets scores, expected evidence, half its band and the evidence (as the feature) of
        these rounds, in order. The arrays returned are valid until the next call.
        """
        n = check_rows(slots, ts_ms, features, len(self._series), len(self._out_ts_ms))
        n_out = k_group_judge(
            self._series,
            self._links,
            self._entities,
            self._rounds,
            self._bounds,
            writable(slots),
            writable(ts_ms),
            writable(features),
            writable(scores[:n]),
            self._out_entities,
            self._out_ts_ms,
            self._verdicts,
        )
        verdicts = self._verdicts[:n_out]
        out.scores[:n_out] = verdicts[:, layout.SCORE]
        out.expected[:n_out] = verdicts[:, layout.EXPECTED]
        out.half[:n_out] = verdicts[:, layout.HALF]
        out.features[:n_out] = verdicts[:, layout.EVIDENCE]
        return JudgedRounds(self._out_entities[:n_out], self._out_ts_ms[:n_out])

    def entity_of(self, slot: int) -> int:
        """Return the entity of a series, -1 if it has none."""
        return int(self._links[slot, layout.ENTITY]) - 1

    def members(self, entity: int) -> Iterator[int]:
        """Yield the series of an entity, the newest first."""
        member = int(self._rounds[entity, layout.FIRST])
        while member:
            yield member - 1
            member = int(self._links[member - 1, layout.NEXT])

    def evidence_of(self, slot: int) -> float:
        """Return what is left now of the evidence of a series that is in an entity."""
        now = int(self._rounds[self.entity_of(slot), layout.ROUND])
        age = max(now - int(self._links[slot, layout.REPORTED]), 0)
        return float(self._series[slot, layout.HELD]) * float(layout.HOLD**age)

    @contextmanager
    def expecting(self, entity: int, n_members: int) -> Iterator[None]:
        """Within this context, rounds of an entity end once so many of its series reported."""
        now = self._rounds[entity]
        before = int(now[layout.MEMBERS])
        now[layout.MEMBERS] = n_members
        try:
            yield
        finally:
            now[layout.MEMBERS] = before

    def copy_from(self, other: "GroupBank") -> None:
        """Become equal to another bank of the same capacity and as many entities."""
        copy_rows(
            (
                (self._series, other._series),
                (self._links, other._links),
                (self._entities, other._entities),
                (self._rounds, other._rounds),
            )
        )

    def state(self, n_slots: int, n_entities: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return the live arrays, for a snapshot."""
        return {
            "series": self._series[:n_slots],
            "links": self._links[:n_slots],
            "entities": self._entities[:n_entities],
            "rounds": self._rounds[:n_entities],
        }

    def restore(
        self, state: Mapping[str, npt.NDArray[np.generic]], n_slots: int, n_entities: int
    ) -> None:
        """Take over a saved state of so many series and entities.

        Raises
        ------
        SnapshotError
            When an array is missing or has another shape or type.
        """
        self._entities = grown(self._entities, n_entities)
        self._rounds = grown(self._rounds, n_entities)
        self._series = restored(state, "series", self._series, n_slots)
        self._links = restored(state, "links", self._links, n_slots)
        self._entities = restored(state, "entities", self._entities, n_entities)
        self._rounds = restored(state, "rounds", self._rounds, n_entities)

    def bytes_per_series(self) -> int:
        """Return the bytes of state a member takes."""
        return sum(int(array.itemsize * array[0].size) for array in (self._series, self._links))
