"""Several features as a River detector: verdicts are the banks', and who has which slot."""

import pickle
import random

import numpy as np
import pytest
from group_data import group_bank, judge_group, judge_peers, peer_bank, rows_of
from series_data import START_MS

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.river import TIME_KEY, GroupDetector, PeerDetector
from aiops.detect.river.roster import Roster
from aiops.errors import SnapshotError

STEP_MS = 60_000


def samples_of(values):
    """Samples of a [round, series] array; features are named in the order of their columns."""
    return [
        {f"m{k:02d}": float(value) for k, value in enumerate(row)}
        | {TIME_KEY: START_MS + STEP_MS * i}
        for i, row in enumerate(values)
    ]


def feed(detector, samples):
    scores = []
    for x in samples:
        scores.append(detector.score_one(x))
        detector.learn_one(x)
    return np.array(scores)


def fleet(n=600, n_series=5, seed=1):
    values = np.random.default_rng(seed).normal(size=(n, n_series))
    values[n * 3 // 4 : n * 3 // 4 + 5] += 8.0
    return values


def test_group_scores_equal_those_of_the_banks_in_one_batch():
    values = fleet()
    rows = rows_of(values)
    out = ScoreColumns.allocate(len(rows[0]))
    SeasonalBank(DetectConfig(), 5).score_learn(*rows, out)
    told = judge_group(group_bank(5), *rows, out.scores)
    scores = feed(GroupDetector(), samples_of(values))
    judged = ((told[:, 0] - START_MS) / STEP_MS).astype(int)
    assert scores[judged].tolist() == told[:, 1].tolist()
    assert np.delete(scores, judged).max() == 0.0
    assert scores[450] > 4


def test_peer_scores_equal_those_of_the_bank_in_one_batch():
    values = fleet(300, 6)
    values[200:203, 2] += 20.0
    told = judge_peers(peer_bank(6), *rows_of(values))
    detector = PeerDetector()
    for i, x in enumerate(samples_of(values)):
        rows = told[told[:, 1] == START_MS + STEP_MS * i]
        scores = detector.score_each(x)
        assert list(scores.values()) == rows[:, 2].tolist()
        assert detector.score_one(x) == max(rows[:, 2])
        detector.learn_one(x)
        if i == 200:
            assert max(scores, key=scores.get) == "m02" and scores["m02"] > 4


@pytest.mark.parametrize("make", [GroupDetector, PeerDetector])
def test_a_sample_with_features_missing_is_judged_at_once(make):
    values = fleet(500, 7)
    values[375:380] = np.random.default_rng(3).normal(size=(5, 7))
    values[450, 1:3] += 15.0, 25.0
    samples = samples_of(values)
    for x in samples[400:]:
        del x["m00"], x["m06"]
    scores = feed(make(), samples)
    assert scores[450] > 4 > scores[401:450].max()


def test_evidence_of_a_feature_that_is_missing_fades():
    detector = GroupDetector()
    samples = samples_of(fleet(600, 4)[:450])
    feed(detector, samples)
    odd = {f"m{k:02d}": 30.0 for k in range(3)}
    detector.learn_one(odd)
    quiet = {"m03": 0.0}
    scores = feed(detector, [quiet] * 100)
    assert scores[0] > 2 > scores[99]


@pytest.mark.parametrize("make", [GroupDetector, PeerDetector])
def test_a_sample_that_is_not_later_scores_nothing_and_delays_nothing(make):
    detector = make()
    samples = samples_of(fleet(500, 6)[:370])
    feed(detector, samples)
    late = samples[-1] | {"m01": 40.0, "m02": 50.0}
    assert detector.score_one(late) == 0.0
    detector.learn_one(late)
    after = {f"m{k:02d}": 0.1 * k for k in range(6)}
    assert detector.score_one(after) > 0.0


@pytest.mark.parametrize("make", [GroupDetector, PeerDetector])
def test_the_order_of_features_in_a_sample_does_not_matter(make):
    straight, shuffled = make(), make()
    rng = random.Random(4)
    for x in samples_of(fleet(450)):
        names = list(x)
        rng.shuffle(names)
        y = {name: x[name] for name in names}
        assert straight.score_one(x) == shuffled.score_one(y)
        straight.learn_one(x)
        shuffled.learn_one(y)
    assert pickle.dumps(straight) == pickle.dumps(shuffled)


def test_scoring_new_features_does_not_make_them_known():
    detector = GroupDetector()
    feed(detector, samples_of(fleet(50)))
    detector.score_one({"new": 1.0, "other": 2.0})
    assert detector._now.names() == [f"m{k:02d}" for k in range(5)]
    detector.learn_one({"late": 1.0})
    assert detector._now.names()[-1] == "late"
    assert detector.score_one({"new": 1.0}) == 0.0


def test_a_replica_that_comes_back_in_place_of_another_begins_anew():
    detector = PeerDetector(20)
    rng = random.Random(6)
    for first in (0, 40):  # pods of the second deployment replace most of the first
        for _ in range(100):
            detector.learn_one({f"pod-{first + k}": rng.gauss(10 * first, 1) for k in range(40)})
    assert len(detector._now.names()) == 64
    x = {f"pod-{40 + k}": rng.gauss(400, 1) for k in range(40)}
    assert detector.score_one(x) < 4 < detector.score_one(x | {"pod-50": 440.0})
    assert detector.values_refused_total == 0


def test_features_beyond_the_bound_are_refused_and_counted():
    detector = GroupDetector(20, members_min=2, features_max=3)
    scores = feed(detector, samples_of(fleet(450)))
    assert detector._now.names() == ["m00", "m01", "m02"]
    assert detector.values_refused_total == 2 * 450
    assert scores[400:].max() > 0


def test_names_take_slots_in_order_and_the_longest_unheard_makes_room():
    roster = Roster(3)
    slots, fresh = roster.seat(["b", "a"])
    assert (slots.tolist(), fresh) == ([1, 0], [0, 1])
    assert roster.seat(["a", "c"])[1] == [2]
    slots, fresh = roster.seat(["d", "a"])
    assert (slots.tolist(), fresh) == ([1, 0], [1])
    assert roster.names() == ["a", "d", "c"]
    slots, fresh = roster.seat(["w", "x", "y", "z"])
    assert (slots.tolist(), sorted(fresh)) == ([2, 0, 1, -1], [0, 1, 2])
    assert roster.refused_total == 1


def test_a_roster_comes_back_as_it_was_saved():
    roster, other = Roster(3), Roster(3)
    roster.seat([1, ("x", 2), "c"])
    roster.seat(["c", "d"])
    other.restore(roster.names(), roster.state())
    assert other.seat(["e"])[1] == roster.seat(["e"])[1]
    assert other.names() == roster.names()
    with pytest.raises(SnapshotError, match="'counts' is missing"):
        other.restore([], {"heard": roster.state()["heard"]})


def test_a_bank_becomes_equal_to_another_and_goes_on_alone():
    rows = rows_of(fleet(300, 3))
    out = ScoreColumns.allocate(len(rows[0]))
    first, second = (SeasonalBank(DetectConfig(), 3) for _ in range(2))
    first.score_learn(*rows, out)
    second.copy_from(first)
    saved = {name: array.copy() for name, array in first.state(3).items()}
    second.score_learn(rows[0], rows[1] + 10**8, rows[2] + 1, out)
    assert all((saved[name] == array).all() for name, array in first.state(3).items())
    second.copy_from(first)
    assert all((saved[name] == array).all() for name, array in second.state(3).items())


def test_a_bank_of_another_size_is_not_copied():
    with pytest.raises(RuntimeError, match="grow it first"):
        SeasonalBank(DetectConfig(), 3).copy_from(SeasonalBank(DetectConfig(), 1))


def test_members_that_make_no_group_are_an_error():
    with pytest.raises(ValueError, match="give 2 to 4"):
        GroupDetector(members_min=5, features_max=4)
