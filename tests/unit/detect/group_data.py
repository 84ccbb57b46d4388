"""Seeded rows of several series, and banks whose series are all in one group."""

import numpy as np
from series_data import START_MS

from aiops.detect.banks.group import GroupBank
from aiops.detect.banks.peers import PeerBank
from aiops.detect.columns import ScoreColumns


def rows_of(values, *, step_ms=60_000, lost=0.0, seed=0):
    """Columns (slots, ts_ms, features) of a [round, series] array, some rows lost at random."""
    n, n_series = values.shape
    slots = np.tile(np.arange(n_series, dtype=np.int32), n)
    ts_ms = np.repeat(START_MS + step_ms * np.arange(n, dtype=np.int64), n_series)
    kept = np.random.default_rng(seed).random(len(slots)) >= lost
    return slots[kept], ts_ms[kept], np.ascontiguousarray(values, float).ravel()[kept]


def group_bank(n_series, *, warmup=60, members_min=3, rows_max=200_000) -> GroupBank:
    bank = GroupBank(n_series, warmup_samples=warmup, members_min=members_min, rows_max=rows_max)
    for slot in range(n_series):
        bank.join(slot, 0)
    return bank


def peer_bank(n_series, *, warmup=60, peers_min=4, rows_max=1000) -> PeerBank:
    bank = PeerBank(n_series, warmup_rounds=warmup, peers_min=peers_min, rows_max=rows_max)
    for slot in range(n_series):
        assert bank.join(slot, 0)
    return bank


def judge_group(bank, slots, ts_ms, features, scores):
    """[n, 5] array of time, score, evidence, expected, half."""
    out = ScoreColumns.allocate(len(slots))
    rounds = bank.score_learn(slots, ts_ms, features, scores, out)
    n = len(rounds.ts_ms)
    columns = (rounds.ts_ms, out.scores, out.features, out.expected, out.half)
    return np.stack([column[:n].astype(float) for column in columns], axis=1)


def judge_peers(bank, slots, ts_ms, features):
    """[n, 6] array of replica, time, score, value, expected, half."""
    out = ScoreColumns.allocate(bank.rows_out_max)
    told = [np.empty((0, 6))]
    for judged in bank.score_learn(slots, ts_ms, features, out):
        n = len(judged.slots)
        columns = (judged.slots, judged.ts_ms, out.scores, out.features, out.expected, out.half)
        told.append(np.stack([column[:n].astype(float) for column in columns], axis=1))
    return np.concatenate(told)
