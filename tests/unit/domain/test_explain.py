"""An anomaly in one sentence."""

import math

import pytest

from aiops.domain.absence import AbsenceFacts, AbsenceReason
from aiops.domain.anomaly import Anomaly, AnomalyKind
from aiops.domain.explain import explain, explanation, subject
from aiops.domain.labels import labels_from
from aiops.domain.quality import ROW_FLAGS, QualityFlag, VetoReason, flag_bit, flags_of
from aiops.domain.quantity import format_alike

TUESDAY_MS = 1_700_575_500_000  # 2023-11-21 14:05 UTC


def anomaly(**changes) -> Anomaly:
    fields = {
        "anomaly_id": "a",
        "fingerprint": 1,
        "labels": labels_from({"__name__": "http_requests_total", "job": "shop"}),
        "detector": "seasonal",
        "onset_ms": TUESDAY_MS - 15_000,
        "peak_ms": TUESDAY_MS,
        "end_ms": 0,
        "score": 7.0,
        "value": 812.0,
        "expected": 380.0,
        "lower": 340.0,
        "upper": 420.0,
        "unit": "/s",
    }
    return Anomaly(**(fields | changes))


def test_a_whole_explanation_reads_as_one_sentence():
    told = anomaly(parts=(("shift", 7.9), ("residual", 5.25)), season="day")
    assert explain(told) == (
        "http_requests_total 812/s, expected 340/s to 420/s on Tuesday 14:05 UTC (daily season); "
        "one in 10 million (score 7.0); shift 7.9 and residual 5.2; data fine"
    )


def test_without_season_and_streams_nothing_is_said_of_them():
    assert explanation(anomaly()) == (
        "812/s, expected 340/s to 420/s; one in 10 million (score 7.0); data fine"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"lower": math.nan, "upper": math.nan}, "812/s, expected 380/s"),
        ({"lower": math.nan, "upper": math.nan, "expected": math.nan}, "812/s"),
        ({"value": math.nan}, "unknown, expected 340/s to 420/s"),
        ({"kind": AnomalyKind.PEER}, "812/s, peers 340/s to 420/s"),
    ],
)
def test_what_is_not_known_is_left_out(changes, text):
    assert explanation(anomaly(**changes)).partition(";")[0] == text


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "score 0.0"),
        (math.nan, "score nan"),
        (2.5, "one in 320 (score 2.5)"),
        (3.0, "one in 1 thousand (score 3.0)"),
        (5.999, "one in 1 million (score 6.0)"),
        (6.3, "one in 2 million (score 6.3)"),
        (12.2, "one in 1.6 trillion (score 12.2)"),
        (99.0, "beyond one in 1,000 trillion (score 99.0)"),
        (math.inf, "beyond one in 1,000 trillion (score inf)"),
    ],
)
def test_odds_are_told_in_words(score, text):
    assert explanation(anomaly(score=score)).split("; ")[1] == text


def test_three_streams_are_listed_and_the_last_is_joined_by_and():
    told = anomaly(parts=(("level", 3.0), ("shift", 2.0), ("spread", 1.0)))
    assert "level 3.0, shift 2.0 and spread 1.0" in explanation(told)


@pytest.mark.parametrize("flag", QualityFlag)
def test_every_flag_has_words(flag):
    last = explanation(anomaly(quality=(flag.value,))).split("; ")[-1]
    assert last.startswith("data: ")
    assert "_" not in last


@pytest.mark.parametrize("reason", VetoReason)
def test_every_veto_says_why(reason):
    last = explanation(anomaly(is_vetoed=True, veto_reason=reason.value)).split("; ")[-1]
    assert last.startswith("vetoed, the ")


def test_words_of_a_newer_release_stand_for_themselves():
    assert explanation(anomaly(quality=("shaky",))).endswith("data: shaky")
    assert explanation(anomaly(is_vetoed=True, veto_reason="omen")).endswith("vetoed, omen")


def test_an_absence_is_told_as_one_and_claims_no_odds():
    facts = AbsenceFacts(AbsenceReason.SILENT, 1, 1)
    told = anomaly(absence=facts, kind=AnomalyKind.ABSENCE, value=130.0, expected=15.0)
    assert explanation(told) == "no samples for 2 min, usually every 15 s; score 7.0"


def test_an_entity_is_named_by_its_labels_and_its_metrics():
    told = anomaly(
        labels=labels_from({"instance": "h1"}),
        kind=AnomalyKind.GROUP,
        members=(('cpu{mode="user"}', 9.0), ("load", 3.0)),
    )
    assert explain(told).startswith("h1 unusual as a whole: cpu, load; one in")


def test_an_anomaly_without_labels_still_has_a_name():
    assert subject(anomaly(labels=())) == "anomaly"


@pytest.mark.parametrize(
    ("values", "unit", "texts"),
    [
        ((0.31, 0.1), "", ["0.31", "0.10"]),
        ((1234567.0, 1000.0), "", ["1,234,567", "1,000"]),
        ((100.2, 100.1, 100.1), "", ["100.2", "100.1", "100.1"]),
        ((0.34, 0.02), "s", ["340 ms", "20 ms"]),
        ((0.0004,), "s", ["400 us"]),
        ((2.0, 0.5), "s", ["2.0 s", "0.5 s"]),
        ((0.0, 0.0), "s", ["0 s", "0 s"]),
        ((1.5e9, 3e8), "B", ["1.5 GB", "0.3 GB"]),
        ((2e6, 1e6), "B/s", ["2.0 MB/s", "1.0 MB/s"]),
        ((12.0,), "B", ["12 B"]),
        ((45.0, 12.0), "%", ["45%", "12%"]),
        ((math.nan, math.inf), "s", ["unknown", "infinite s"]),
        ((), "s", []),
    ],
)
def test_numbers_that_are_compared_share_decimals_and_scale(values, unit, texts):
    assert format_alike(values, unit) == texts


def test_row_flags_have_a_bit_each_and_are_named_in_order():
    flags = [*ROW_FLAGS]
    assert set(QualityFlag) - set(flags) == {QualityFlag.PARTIAL, QualityFlag.INVALID}
    assert sum(map(flag_bit, flags)) == 255
    assert flags_of(255) == tuple(flag.value for flag in flags)
    assert flags_of(0) == ()


@pytest.mark.parametrize(
    ("value", "bounds", "unit", "text"),
    [
        (12.0, (math.nan, 10.5), "", "12, above the threshold of 10.5"),
        (10.51, (1.0, 10.5), "", "11, above the threshold of 10.5"),
        (0.4, (0.5, 10.5), "", "0.40, below the threshold of 0.5"),
        (7.0, (math.nan, 5.0), "/s", "7.0/s, above the threshold of 5/s"),
        (0.3, (0.5, math.nan), "s", "300 ms, below the threshold of 0.5 s"),
        (7.0, (math.nan, math.nan), "", "7.0, beyond its threshold"),
    ],
)
def test_a_threshold_is_told_as_it_was_set_and_without_odds(value, bounds, unit, text):
    lower, upper = bounds
    told = anomaly(
        value=value, lower=lower, upper=upper, unit=unit, kind=AnomalyKind.THRESHOLD, score=20.4
    )
    assert explanation(told) == f"{text}; data fine"
