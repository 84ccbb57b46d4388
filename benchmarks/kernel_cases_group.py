"""Cases of the kernels over several series: entities of 24, groups of 8 replicas."""

import numpy as np

from aiops.detect.banks.group import ROUNDS_WARMUP, GroupBank
from aiops.detect.banks.peers import PeerBank
from aiops.detect.columns import ScoreColumns
from aiops.domain.samples import F64, I32, I64
from benchmarks.kernel_cases import SEED, START_MS, STEP_MS, Case
from tests.naive.group import (
    NaiveEntity,
    NaiveMember,
    NaivePeers,
    NaiveReplica,
    naive_group_judge,
    naive_peers_judge,
)

PER_ENTITY = 24
PER_GROUP = 8
WARMUP = 20
"""Samples of warm-up: the fewest there may be, since the cost does not depend on it."""
GROUP_ROUNDS = ROUNDS_WARMUP + WARMUP + 5
PEER_ROUNDS = WARMUP + 25
N_VALUES = 16


class Rounds:
    """Rounds of samples, one of every slot each, with scores as of their own detectors."""

    def __init__(self, n_slots: int) -> None:
        rng = np.random.default_rng(SEED)
        self.slots: I32 = np.arange(n_slots, dtype=np.int32)
        self._values: F64 = rng.normal(10.0, 1.0, (N_VALUES, n_slots))
        self._scores: F64 = rng.exponential(0.5, (N_VALUES, n_slots))
        self.n = 0

    def next(self) -> None:
        """Go on to the next round."""
        self.n += 1

    def columns(self, round_: int) -> tuple[I64, F64, F64]:
        """Return times, values and scores of a round."""
        k = round_ % N_VALUES
        ts_ms = np.full(len(self.slots), START_MS + STEP_MS * round_)
        return ts_ms, self._values[k], self._scores[k]


def group_judge(n_slots: int) -> Case:
    """k_group_judge: one sample of every series, entity by entity; each ends a round."""
    rounds = Rounds(n_slots)
    bank = GroupBank(n_slots, warmup_samples=WARMUP, members_min=3, rows_max=n_slots)
    for slot in range(n_slots):
        bank.join(slot, slot // PER_ENTITY)
    out = ScoreColumns.allocate(n_slots)

    def call() -> int:
        ts_ms, values, scores = rounds.columns(rounds.n)
        return len(bank.score_learn(rounds.slots, ts_ms, values, scores, out).entities)

    for _ in range(GROUP_ROUNDS):
        rounds.next()
        call()

    def is_right() -> bool:
        rounds.next()
        return call() > 0 and bool(np.isclose(out.scores[0], _entity_twin(rounds), rtol=1e-9))

    return Case(n_slots, call, is_right, rounds.next, {"members": PER_ENTITY})


def peers_judge(n_slots: int) -> Case:
    """k_peers_judge: one sample of every replica, group by group; each group ends a round."""
    rounds = Rounds(n_slots)
    bank = PeerBank(n_slots, warmup_rounds=WARMUP, peers_min=4, rows_max=n_slots + PER_GROUP)
    for slot in range(n_slots):
        bank.join(slot, slot // PER_GROUP)
    out = ScoreColumns.allocate(bank.rows_out_max)
    first = np.zeros(PER_GROUP)

    def call() -> int:
        ts_ms, values, _ = rounds.columns(rounds.n)
        n_judged = 0
        for judged in bank.score_learn(rounds.slots, ts_ms, values, out):
            if n_judged == 0:
                first[:] = out.scores[:PER_GROUP]
            n_judged += len(judged.slots)
        return n_judged

    for _ in range(PEER_ROUNDS):
        rounds.next()
        call()

    def is_right() -> bool:
        rounds.next()
        return call() > 0 and bool(np.allclose(first, _peers_twin(rounds), rtol=1e-9))

    return Case(n_slots, call, is_right, rounds.next, {"members": PER_GROUP})


def _entity_twin(rounds: Rounds) -> float:
    members = {slot: NaiveMember() for slot in range(PER_ENTITY)}
    entity = NaiveEntity(members, warmup=WARMUP)
    told = []
    for round_ in range(1, rounds.n + 1):
        rows = zip(
            *(column[:PER_ENTITY].tolist() for column in rounds.columns(round_)), strict=True
        )
        told = naive_group_judge(entity, [(slot, *row) for slot, row in enumerate(rows)])
    return told[-1][1]


def _peers_twin(rounds: Rounds) -> list[float]:
    replicas = {slot: NaiveReplica() for slot in range(PER_GROUP)}
    peers = NaivePeers(replicas, warmup=WARMUP)
    told = []
    for round_ in range(1, rounds.n + 1):
        ts_ms, values, _ = (column[:PER_GROUP].tolist() for column in rounds.columns(round_))
        rows = list(zip(range(PER_GROUP), ts_ms, values, strict=True))
        told = naive_peers_judge(peers, rows)
    return [verdict[2] for verdict in told]
