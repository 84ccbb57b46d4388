"""Entities and replicas: what their banks report, and what they leave alone."""

import numpy as np
import pytest
from group_data import group_bank, judge_group, judge_peers, peer_bank, rows_of
from series_data import NULLS, START_MS

from aiops.detect.banks.group import ROUNDS_WARMUP
from aiops.detect.banks.peers import PEERS_MAX
from aiops.errors import SnapshotError


def quiet(n, n_series, seed=1):
    return 10 + np.random.default_rng(seed).normal(size=(n, n_series))


def group_scores(values, own=None):
    """Scores of an entity whose series' own detectors said `own` (nothing unusual)."""
    n, n_series = values.shape
    own = np.zeros((n, n_series)) if own is None else own
    return judge_group(group_bank(n_series), *rows_of(values), own.ravel())


def index_of(round_):
    """Row of a round in what the bank told: the first rounds go to both warm-ups."""
    return round_ - ROUNDS_WARMUP - 60


def peer_scores(values, n_series):
    """[round, replica] scores."""
    return judge_peers(peer_bank(n_series), *rows_of(values))[:, 2].reshape(-1, n_series)


def test_series_that_leave_their_levels_together_are_an_anomaly_of_the_entity():
    values = quiet(800, 8)
    values[700:720, :5] += 40
    scores = group_scores(values)[:, 1]
    assert scores[: index_of(700)].max() < 2
    assert scores[index_of(700) : index_of(703)].min() > 6


def test_series_whose_own_detectors_are_surprised_together_are_an_anomaly_of_the_entity():
    own = np.zeros((800, 8))
    own[700:703, :6] = 6.0
    assert group_scores(quiet(800, 8), own)[index_of(700) :, 1].max() > 5


def test_surprises_a_few_rounds_apart_add_up():
    own = np.zeros((800, 6))
    for k in range(6):
        own[700 + 3 * k, k] = 8.0
    told = group_scores(quiet(800, 6), own)
    assert told[index_of(715), 1] > 2 * told[index_of(702), 1]


def test_one_series_alone_is_none_of_the_entity_however_loud():
    values = quiet(800, 8)
    values[700:, 0] += 1e6
    own = np.zeros((800, 8))
    own[700:, 0] = 20.0
    assert group_scores(values, own)[:, 1].max() < 3.2


def test_a_disturbance_that_stays_is_got_used_to():
    values = quiet(1500, 8)
    values[1000:] += 40
    scores = group_scores(values)[index_of(1000) :, 1]
    assert scores.max() > 6
    assert scores[100:].max() < 3


def test_an_entity_with_too_few_series_is_not_judged():
    columns = rows_of(quiet(500, 2))
    assert len(judge_group(group_bank(2), *columns, np.zeros(1000))) == 0


def test_a_member_that_stays_away_does_not_keep_its_entity_from_being_judged():
    values = quiet(500, 5)
    values[400:, 4] = np.nan
    told = judge_group(group_bank(5), *rows_of(values), np.zeros(2500))
    assert told[-1, 0] == START_MS + 498 * 60_000  # the last round waits for the fifth


def test_evidence_of_a_member_that_ended_does_not_last():
    bank = group_bank(3)
    judge_group(bank, *rows_of(quiet(100, 3)), np.full(300, 9.0))
    assert bank.evidence_of(1) > 5
    bank.quieten(np.array([1], np.int32))
    assert bank.evidence_of(1) == 0.0


def test_members_come_and_go_without_touching_the_others():
    bank = group_bank(4)
    assert list(bank.members(0)) == [3, 2, 1, 0]
    assert [bank.leave(slot) for slot in (2, 3, 0)] == [-1, -1, -1]
    assert list(bank.members(0)) == [1]
    assert bank.leave(1) == 0
    assert list(bank.members(0)) == []


def test_a_series_in_no_entity_is_passed_over():
    bank = group_bank(3)
    bank.leave(2)
    judge_group(bank, *rows_of(quiet(50, 3)), np.zeros(150))
    state = bank.state(3, 1)
    assert state["series"][2].tolist() == [0, 0, 0, 0]
    assert list(bank.members(0)) == [1, 0]


@pytest.mark.parametrize("cut", [1, 7, 4001])
def test_batches_of_any_size_leave_the_same_bits_in_both_banks(cut):
    values = quiet(900, 6)
    values[700:720] += 15
    slots, ts_ms, features = rows_of(values, lost=0.1)
    own = np.random.default_rng(2).uniform(0, 4, len(slots))
    whole, parts = group_bank(6), group_bank(6)
    whole_peers, parts_peers = peer_bank(6), peer_bank(6)
    expected = judge_group(whole, slots, ts_ms, features, own)
    expected_peers = judge_peers(whole_peers, slots, ts_ms, features)
    told, told_peers = [], []
    for start in range(0, len(slots), cut):
        part = slice(start, start + cut)
        told.append(judge_group(parts, slots[part], ts_ms[part], features[part], own[part]))
        told_peers.append(judge_peers(parts_peers, slots[part], ts_ms[part], features[part]))
    assert np.concatenate(told).tobytes() == expected.tobytes()
    assert np.concatenate(told_peers).tobytes() == expected_peers.tobytes()
    for ours, theirs in ((whole, parts), (whole_peers, parts_peers)):
        for name, array in ours.state(6, 1).items():
            assert array.tobytes() == theirs.state(6, 1)[name].tobytes()


def test_a_restored_group_bank_goes_on_to_the_bit_and_refuses_foreign_arrays():
    values = quiet(600, 4)
    slots, ts_ms, features = rows_of(values)
    own = np.zeros(len(slots))
    first, rest = slice(0, 1800), slice(1800, None)
    bank, other = group_bank(4), group_bank(4)
    judge_group(bank, slots[first], ts_ms[first], features[first], own[first])
    other.restore({name: a.copy() for name, a in bank.state(4, 1).items()}, 4, 1)
    told = [
        judge_group(b, slots[rest], ts_ms[rest], features[rest], own[rest]) for b in (bank, other)
    ]
    assert told[0].tobytes() == told[1].tobytes()
    assert len(told[0]) == 150
    with pytest.raises(SnapshotError):
        other.restore({"series": np.zeros((4, 1))}, 4, 1)


def test_a_replica_unlike_its_siblings_is_reported_and_no_other():
    values = quiet(400, 6)
    values[300:, 2] += 15
    scores = peer_scores(values, 6)
    assert np.median(scores[300:320, 2]) > 5
    assert np.delete(scores, 2, axis=1).max() < 6


def test_a_habitual_offset_from_the_siblings_is_no_anomaly():
    values = quiet(400, 6)
    values[:, 2] += 1000
    assert peer_scores(values, 6).max() < 6


def test_a_burst_that_all_replicas_share_shows_in_none():
    rng = np.random.default_rng(3)
    values = quiet(400, 7)
    values[300:310] += 100 * rng.uniform(0.5, 1.5, (10, 7))
    assert peer_scores(values, 7)[300:310].max() < 4


def test_four_replicas_are_too_few_to_judge_one_of_them():
    values = quiet(300, 4)
    values[200:, 1] += 50
    assert judge_peers(peer_bank(4), *rows_of(values)).size == 0


def test_a_full_group_takes_no_more_replicas():
    bank = peer_bank(PEERS_MAX)
    bank.grow(PEERS_MAX + 1)
    assert not bank.join(PEERS_MAX, 0)
    bank.leave(5)
    assert bank.join(PEERS_MAX, 0)


def test_the_last_replica_to_leave_frees_the_group():
    bank = peer_bank(3)
    assert [bank.leave(slot) for slot in (1, 0, 2)] == [-1, -1, 0]


@pytest.mark.parametrize("kind", ["stable", "constant", "counts", "daily", "walk", "lognormal"])
def test_ordinary_replicas_raise_no_alarm_that_lasts(kind):
    rng = np.random.default_rng(6)
    values = np.stack([np.asarray(NULLS[kind](rng, 2000), float) for _ in range(6)], axis=1)
    is_high = peer_scores(values, 6) >= 6
    assert not (is_high[:-2] & is_high[1:-1] & is_high[2:]).any()
