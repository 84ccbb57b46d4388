"""The peer bank: one replica unlike its siblings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.detect.arrays import check_rows, copy_rows, grown, restored, writable
from aiops.detect.columns import ScoreColumns
from aiops.detect.kernels import peers as layout
from aiops.detect.kernels.peers import PEERS_MAX, k_peers_judge
from aiops.domain.samples import F64, I32, I64

ROWS_MIN = 4 * PEERS_MAX
"""Chosen: verdicts given at once at least; room for two full rounds is always kept free."""


@dataclass(frozen=True, slots=True)
class JudgedReplicas:
    """Replicas judged, with the time of the round; valid until the next batch of verdicts."""

    slots: I32
    ts_ms: I64


class PeerBank:
    """Scores replicas of one thing by their distance from the median of all of them.

    Parameters
    ----------
    capacity
        Number of series slots.
    warmup_rounds
        Rounds of a replica before it is judged.
    peers_min
        Peers with a sample of the same round that a verdict needs; with fewer than four the
        median follows the outlier.
    rows_max
        Most rows of one batch.

    Notes
    -----
    A round ends once all replicas reported, or as soon as one of them reports again. Each
    replica's distance from the median of the round, less its own habitual offset (a leader does
    more than its followers), is divided by the larger of its own mean distance and that of a
    typical replica in this round (from the median absolute deviation), so that a burst which all
    of them share shows in none. The quotient becomes -log10 of its tail probability, linear up to
    a running 98 % quantile, beyond it a generalised Pareto tail by moments, as in the seasonal
    bank. Of distances beyond the quantile in a row
    only the first enters the tail, and what a round teaches is bounded: an outlier that lasts is
    got used to within some hundred rounds.

    *Limits.* Up to 64 replicas a group (see `aiops.detect.peers`). Half of the replicas being
    wrong in the same way are the norm. A difference below a thousandth of the median is none.
    Replicas that take turns being busy need as many rounds as their turns last to be known for it.

    76 bytes a replica and 304 a group; about 80 ns a sample (benchmark: bench_kernels).
    """

    name = "peers"
    version = 1

    def __init__(self, capacity: int, *, warmup_rounds: int, peers_min: int, rows_max: int) -> None:
        self._replicas: F64 = np.zeros((capacity, layout.REPLICA_SIZE))
        self._links: I32 = np.zeros((capacity, layout.LINKS_SIZE), np.int32)
        self._members: I32 = np.zeros((1, PEERS_MAX), np.int32)
        self._rounds: I64 = np.zeros((1, layout.ROUND_SIZE), np.int64)
        self._bounds = np.array([warmup_rounds, peers_min + 1], float)
        self._scratch: F64 = np.zeros(PEERS_MAX)
        n_out = max(rows_max, ROWS_MIN)
        self._out_slots: I32 = np.zeros(n_out, np.int32)
        self._out_ts_ms: I64 = np.zeros(n_out, np.int64)
        self._verdicts: F64 = np.zeros((n_out, layout.VERDICT_SIZE))
        self._next: I64 = np.zeros(1, np.int64)

    @property
    def rows_out_max(self) -> int:
        """Most replicas judged at once: the capacity their columns need."""
        return len(self._out_slots)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` series."""
        self._replicas = grown(self._replicas, capacity)
        self._links = grown(self._links, capacity)

    def join(self, slot: int, group: int) -> bool:
        """Make a fresh series a member of a group; tell whether it had room for one more."""
        if group >= len(self._members):
            self._members = grown(self._members, 2 * group)
            self._rounds = grown(self._rounds, 2 * group)
        free = np.flatnonzero(self._members[group] == 0)
        if len(free) == 0:
            return False
        place = int(free[0])
        self._replicas[slot] = 0
        self._links[slot] = (group + 1, place, 0)
        self._members[group, place] = slot + 1
        now = self._rounds[group]
        now[layout.MEMBERS] += 1
        now[layout.PLACES] = max(now[layout.PLACES], place + 1)
        return True

    def leave(self, slot: int) -> int:
        """Take a series out of its group; return the group if none is left in it, else -1."""
        group, place, reported = self._links[slot].tolist()
        if group == 0:
            return -1
        now = self._rounds[group - 1]
        self._members[group - 1, place] = 0
        now[layout.MEMBERS] -= 1
        now[layout.N_REPORTED] -= reported == now[layout.ROUND]
        self._replicas[slot] = 0
        self._links[slot] = 0
        if now[layout.MEMBERS] > 0:
            return -1
        now[:] = 0
        return int(group) - 1

    def reset(self, slots: I32) -> None:
        """Forget what these series were like; they stay members."""
        self._replicas[slots] = 0
        self._links[slots, layout.REPORTED] = 0

    def score_learn(
        self, slots: I32, ts_ms: I64, features: F64, out: ScoreColumns
    ) -> Iterator[JudgedReplicas]:
        """Take in a batch; yield the replicas judged, some rounds at a time.

        Before each yield `out` gets scores, expected value, half its band and the values of the
        replicas, in order; `out.capacity` is at least `rows_out_max`.
        """
        n = check_rows(slots, ts_ms, features, len(self._replicas), len(slots))
        start = 0
        while start < n:
            n_out = k_peers_judge(
                self._replicas,
                self._links,
                self._members,
                self._rounds,
                self._bounds,
                self._scratch,
                writable(slots),
                writable(ts_ms),
                writable(features),
                start,
                self._out_slots,
                self._out_ts_ms,
                self._verdicts,
                self._next,
            )
            start = int(self._next[0])
            if n_out:
                yield self._told(n_out, out)

    @contextmanager
    def expecting(self, group: int, n_members: int) -> Iterator[None]:
        """Within this context, rounds of a group end once so many of its series reported."""
        now = self._rounds[group]
        before = int(now[layout.MEMBERS])
        now[layout.MEMBERS] = n_members
        try:
            yield
        finally:
            now[layout.MEMBERS] = before

    def copy_from(self, other: "PeerBank") -> None:
        """Become equal to another bank of the same capacity and as many groups."""
        copy_rows(
            (
                (self._replicas, other._replicas),
                (self._links, other._links),
                (self._members, other._members),
                (self._rounds, other._rounds),
            )
        )

    def state(self, n_slots: int, n_groups: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return the live arrays, for a snapshot."""
        return {
            "replicas": self._replicas[:n_slots],
            "links": self._links[:n_slots],
            "members": self._members[:n_groups],
            "rounds": self._rounds[:n_groups],
        }

    def restore(
        self, state: Mapping[str, npt.NDArray[np.generic]], n_slots: int, n_groups: int
    ) -> None:
        """Take over a saved state of so many series and groups.

        Raises
        ------
        SnapshotError
            When an array is missing or has another shape or type.
        """
        self._members = grown(self._members, n_groups)
        self._rounds = grown(self._rounds, n_groups)
        self._replicas = restored(state, "replicas", self._replicas, n_slots)
        self._links = restored(state, "links", self._links, n_slots)
        self._members = restored(state, "members", self._members, n_groups)
        self._rounds = restored(state, "rounds", self._rounds, n_groups)

    def bytes_per_series(self) -> int:
        """Return the bytes of state a replica takes."""
        return sum(int(array.itemsize * array[0].size) for array in (self._replicas, self._links))

    def _told(self, n_out: int, out: ScoreColumns) -> JudgedReplicas:
        verdicts = self._verdicts[:n_out]
        out.scores[:n_out] = verdicts[:, layout.SCORE]
        out.expected[:n_out] = verdicts[:, layout.EXPECTED]
        out.half[:n_out] = verdicts[:, layout.HALF]
        out.features[:n_out] = verdicts[:, layout.FEATURE]
        return JudgedReplicas(self._out_slots[:n_out], self._out_ts_ms[:n_out])
