"""The scorers against cases counted by hand, and against frozen figures of the reference code."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from aiops.evaluate.scorers import (
    AlarmTally,
    NabFile,
    event_f1,
    nab_score,
    row_f1,
    tally_alarms,
    vus_pr,
)
from aiops.evaluate.scorers.kpi import event_errors
from aiops.evaluate.scorers.nab import probation_rows
from aiops.evaluate.scorers.segments import segments_of

FROZEN = json.loads((Path(__file__).parent / "data/scorers.json").read_text())
"""Made by the public definitions' reference implementations on `seeded_case`."""


def seeded_case(seed):
    """Three series with labelled segments, and scores that see some; every second case has ties."""
    rng = np.random.default_rng(seed)
    scores, labels = [], []
    for _ in range(3):
        n = int(rng.integers(400, 900))
        truth = np.zeros(n, bool)
        for _ in range(6):
            start = int(rng.integers(0, n - 2))
            truth[start : start + int(rng.integers(2, 40))] = True
        noisy = rng.exponential(1, n) + 2 * truth * rng.exponential(1, n)
        scores.append(np.round(noisy, 1 if seed % 2 else 6))
        labels.append(truth)
    return scores, labels


def windows_of(labels):
    starts, ends = segments_of(labels)
    return tuple((a, b) for a, b in zip(starts.tolist(), ends.tolist(), strict=True) if b > a)


@pytest.mark.parametrize("case", FROZEN, ids=lambda case: f"seed {case['seed']}")
def test_the_figures_are_those_of_the_reference(case):
    scores, labels = seeded_case(case["seed"])
    files = [NabFile(len(y), windows_of(y)) for y in labels]
    event, row, nab = event_f1(scores, labels), row_f1(scores, labels), nab_score(scores, files)
    areas = [vus_pr(y, s) for s, y in zip(scores, labels, strict=True)]
    told = {
        "event": [event.f1, event.precision, event.recall, event.threshold],
        "row": [row.f1, row.precision, row.recall, row.threshold],
        "nab": [nab.score, nab.threshold, nab.n_windows_hit, nab.n_windows, nab.n_false_rows],
        "vus": areas,
    }
    for name, figures in told.items():
        assert figures == pytest.approx(case[name], rel=1e-9), name


def labels_at(n, *segments):
    labels = np.zeros(n, bool)
    for first, last in segments:
        labels[first : last + 1] = True
    return labels


def scores_at(n, **rows):
    scores = np.zeros(n)
    for row, score in rows.items():
        scores[int(row[1:])] = score
    return scores


def test_segments_are_runs_of_labels_up_to_the_edges():
    starts, ends = segments_of(np.array([True, False, True, True, False, True]))
    assert starts.tolist() == [0, 2, 5] and ends.tolist() == [0, 3, 5]


def test_an_event_is_hit_within_seven_rows_and_not_later():
    labels = labels_at(400, (50, 69), (250, 269), (320, 339))
    scores = scores_at(400, r57=5.0, r257=5.0, r328=5.0)
    found = event_f1([scores], [labels])
    assert (found.precision, found.recall) == (1.0, 0.5)


def test_false_events_count_once_in_thirty_rows():
    labels = labels_at(400, (50, 59), (350, 359))
    scores = scores_at(400, r50=5.0, r350=5.0, r210=5.0, r240=5.0, r241=5.0)
    assert event_f1([scores], [labels]).precision == pytest.approx(1 / 3)
    assert event_errors(scores, labels, 5.0) == 2
    assert event_errors(scores, labels, 6.0) == 2, "nothing in alarm: both segments are missed"


def test_the_threshold_comes_from_first_halves_only():
    labels = labels_at(200, (20, 29), (150, 159))
    train = scores_at(200, r20=5.0, r150=3.0)
    assert event_f1([train], [labels]).recall == 0.0
    assert row_f1([train], [labels]).recall == 0.0


def test_without_a_labelled_segment_nothing_is_flagged():
    found = event_f1([np.ones(50)], [np.zeros(50, bool)])
    assert (found.f1, found.threshold) == (0.0, math.inf)
    assert row_f1([np.ones(50)], [np.zeros(50, bool)]).threshold == math.inf


def test_rows_of_a_segment_count_in_full_in_the_row_score():
    labels = labels_at(400, (50, 59), (250, 289), (350, 359))
    scores = scores_at(400, r50=5.0, r250=5.0, r310=5.0)
    found = row_f1([scores], [labels])
    assert (found.precision, found.recall) == (40 / 41, 40 / 50)


def test_nab_gives_100_to_first_rows_and_0_to_silence():
    file = NabFile(1000, ((300, 399), (700, 799)))
    perfect = nab_score([scores_at(1000, r300=1.0, r700=1.0)], [file])
    assert perfect.score == pytest.approx(100, abs=1.0)
    assert perfect.file_losses[0] == pytest.approx(0, abs=0.02)
    silent = nab_score([np.zeros(1000)], [file])
    assert (silent.score, silent.n_windows_hit) == (0.0, 0)
    assert silent.file_losses == (4.0,)


def test_nab_pays_early_alarms_more_than_late_ones():
    file = NabFile(1000, ((300, 399),))
    early, late = (nab_score([scores_at(1000, **{row: 1.0})], [file]) for row in ("r310", "r390"))
    assert early.score > late.score > 50


def test_nab_does_not_judge_the_probation():
    assert [probation_rows(n) for n in (100, 4032, 20_000)] == [15, 604, 750]
    file = NabFile(100, ((50, 59),))
    with_noise = nab_score([scores_at(100, r3=9.0, r50=5.0)], [file])
    assert with_noise.n_false_rows == 0


def test_nab_refuses_scores_that_do_not_fit_their_file():
    with pytest.raises(ValueError, match="file 0 has 10 rows, but 9 scores"):
        nab_score([np.zeros(9)], [NabFile(10, ())])
    with pytest.raises(ValueError, match="at least one file"):
        nab_score([], [])


def test_a_file_without_windows_loses_by_its_false_alarms():
    files = [NabFile(1000, ((500, 599),)), NabFile(1000, ())]
    found = nab_score([scores_at(1000, r500=1.0), scores_at(1000, r400=1.0, r800=1.0)], files)
    assert found.file_losses[1] == pytest.approx(0.22)


def test_vus_is_1_for_the_labels_themselves_without_a_buffer():
    labels = labels_at(300, (50, 69), (200, 219))
    assert vus_pr(labels, labels.astype(float), buffer_rows_max=0) == pytest.approx(1.0)


def test_vus_has_no_value_without_labels():
    assert math.isnan(vus_pr(np.zeros(50, bool), np.ones(50)))


def test_vus_pays_near_misses():
    labels = labels_at(600, (300, 319))
    near, far = np.zeros(600), np.zeros(600)
    near[285:300] = far[100:115] = 1.0
    assert vus_pr(labels, near) > 2 * vus_pr(labels, far)


def test_false_alarm_ratios_are_of_normal_rows_after_the_warm_up():
    scores = np.array([9.0, 9.0, 3.5, 1.0, 4.5, 9.0, 0.0, 3.0])
    labels = labels_at(8, (5, 5))
    tally = tally_alarms(scores, labels, (3.0, 4.0), warmup_rows=2)
    assert tally == AlarmTally(5, 3, 1)
    ratios = (tally + tally).ratios()
    assert ratios.at_1e3 == pytest.approx(600) and ratios.at_1e4 == pytest.approx(2000)


def test_ratios_of_no_rows_are_unknown():
    assert math.isnan(AlarmTally().ratios().at_1e3)


def test_metrics_that_share_labels_are_tallied_at_once():
    scores = np.array([[5.0, 0.0], [5.0, 3.0], [0.0, 0.0]])
    labels = np.array([True, False, False])
    assert tally_alarms(scores, labels, (3.0, 4.0), warmup_rows=0) == AlarmTally(4, 2, 1)
