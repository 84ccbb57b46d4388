"""How a challenger compares with the detectors that decide."""

import numpy as np
import pytest

from aiops.detect.challenger import RECENT_MAX, Agreement
from aiops.detect.episodes import EpisodeEvent
from aiops.domain.anomaly import AnomalyChange

NAMES = {0: "up", 1: "load"}
OPENED, CLOSED = AnomalyChange.OPENED, AnomalyChange.CLOSED


def event(change: AnomalyChange, slot: int = 0, onset_ms: int = 5, end_ms: int = 0):
    numbers = dict.fromkeys(("alert", "value", "expected", "lower", "upper"), 0.0)
    return EpisodeEvent(change, slot, onset_ms, onset_ms, end_ms, score=9.0, parts=0, **numbers)


def learn(subject: Agreement, rows, events=()):
    """rows: [(slot, whether the challenger is in an anomaly, and those who decide)]."""
    slots, own, champion = (np.array(column) for column in zip(*rows, strict=True))
    scores = np.ones(len(rows))
    marks = own.astype(np.uint8), champion.astype(np.uint8)
    subject.learn(slots.astype(np.int32), scores, marks, events, NAMES)


def counts(subject: Agreement):
    tally = subject.comparison().tally
    return {
        "rows": (tally.n_own_rows, tally.n_champion_rows, tally.n_shared_rows),
        "own": (tally.n_own, tally.n_own_shared),
        "champion": (tally.n_champion, tally.n_champion_shared),
    }


def test_rows_and_anomalies_of_both_are_counted_apart_and_together():
    subject = Agreement("trees")
    rows = [(0, 0, 1), (0, 1, 1), (0, 1, 1), (0, 1, 0), (0, 0, 0), (0, 0, 1), (1, 1, 0)]
    learn(subject, rows, [event(OPENED), event(CLOSED, end_ms=9), event(OPENED, slot=1)])
    assert counts(subject) == {"rows": (4, 4, 2), "own": (2, 1), "champion": (2, 1)}


def test_series_are_compared_each_with_itself_only():
    subject = Agreement("trees")
    learn(subject, [(0, 1, 0), (1, 0, 1), (0, 1, 0)], [event(OPENED)])
    assert counts(subject) == {"rows": (2, 1, 0), "own": (1, 0), "champion": (1, 0)}


@pytest.mark.parametrize("cut", range(8))
def test_batches_may_be_cut_anywhere(cut):
    whole, parts = Agreement("trees"), Agreement("trees")
    rows = [(0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (0, 1, 1), (0, 0, 0), (1, 1, 0)]
    told = {1: event(OPENED), 3: event(CLOSED, end_ms=7), 4: event(OPENED, onset_ms=8)}
    told |= {5: event(CLOSED, onset_ms=8, end_ms=9), 6: event(OPENED, slot=1)}
    learn(whole, rows, list(told.values()))
    for part in (range(cut), range(cut, len(rows))):
        if part:
            learn(parts, [rows[k] for k in part], [told[k] for k in part if k in told])
    assert whole.comparison() == parts.comparison()
    assert whole.dump() == parts.dump()


def test_would_be_anomalies_are_told_newest_first_and_open_ones_before_others():
    subject = Agreement("trees")
    learn(subject, [(0, 1, 1)], [event(OPENED)])
    learn(subject, [(0, 0, 1)], [event(CLOSED, end_ms=9)])
    learn(subject, [(1, 1, 0)], [event(OPENED, slot=1)])
    told = [(w.series, w.end_ms, w.is_shared) for w in subject.comparison().would_be]
    assert told == [("load", 0, False), ("up", 9, True)]


def test_would_be_anomalies_that_are_kept_have_a_bound():
    subject = Agreement("trees")
    for n in range(RECENT_MAX + 5):
        learn(subject, [(0, 1, 0)], [event(OPENED, onset_ms=n)])
        learn(subject, [(0, 0, 0)], [event(CLOSED, onset_ms=n, end_ms=n + 1)])
    kept = subject.comparison().would_be
    assert [w.onset_ms for w in kept] == list(range(RECENT_MAX + 4, 4, -1))
    assert counts(subject)["own"] == (RECENT_MAX + 5, 0)


def test_an_anomaly_of_a_series_that_ended_is_another_one_when_it_is_back():
    subject = Agreement("trees")
    learn(subject, [(0, 0, 1)])
    subject.close(np.array([0], np.int32), [])
    learn(subject, [(0, 0, 1)])
    assert counts(subject)["champion"] == (2, 0)


def test_the_mean_score_is_over_rows_that_were_scored():
    subject = Agreement("trees")
    assert subject.comparison().tally.score_mean == 0.0
    marks = np.zeros(4, np.uint8), np.zeros(4, np.uint8)
    subject.learn(np.zeros(4, np.int32), np.array([0.0, 0.5, 1.0, 0.0]), marks, [], {})
    tally = subject.comparison().tally
    assert (tally.n_rows, tally.score_mean) == (2, 0.75)


def test_what_was_dumped_is_loaded_to_the_bit():
    subject, other = Agreement("trees"), Agreement("trees")
    learn(subject, [(0, 1, 1), (1, 0, 1)], [event(OPENED)])
    learn(subject, [(0, 0, 1), (0, 1, 1)], [event(CLOSED, end_ms=9), event(OPENED, onset_ms=10)])
    other.load(subject.dump())
    assert other.comparison() == subject.comparison()
    for each in (subject, other):
        learn(each, [(0, 0, 0), (1, 1, 1)], [event(CLOSED, end_ms=12), event(OPENED, slot=1)])
    assert other.dump() == subject.dump()
