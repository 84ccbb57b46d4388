"""What an absence says of itself, in words and as JSON."""

import pytest

from aiops.domain.absence import (
    AbsenceEnd,
    AbsenceFacts,
    AbsenceReason,
    absence_from_json,
    absence_text,
    absence_to_json,
)


def facts(reason: str, *, ended_by: str = "", n_absent: int = 1, n_series: int = 1) -> AbsenceFacts:
    return AbsenceFacts(AbsenceReason(reason), n_absent, n_series, AbsenceEnd(ended_by))


@pytest.mark.parametrize(
    ("told", "silence_s", "text"),
    [
        (facts("silent"), 90, "no samples for 90 s, usually every 15 s"),
        (
            facts("ended", n_absent=10, n_series=11),
            300,
            "ended 5 min ago and not back, samples usually every 15 s (10 of 11 series)",
        ),
        (
            facts("late", ended_by="caught_up"),
            7200,
            "samples come 2.0 h late, usually every 15 s, caught up",
        ),
        (
            facts("partial", n_absent=2, n_series=9),
            130,
            "some series without samples for 2 min, usually every 15 s (2 of 9 series)",
        ),
    ],
)
def test_an_absence_is_told_with_its_span_its_rhythm_and_its_counts(told, silence_s, text):
    assert absence_text(told, silence_s, 15.0) == text


@pytest.mark.parametrize("reason", list(AbsenceReason))
@pytest.mark.parametrize("end", list(AbsenceEnd))
def test_facts_survive_the_way_to_json_and_back(reason, end):
    told = AbsenceFacts(reason, 3, 4, end)
    assert absence_from_json(absence_to_json(told)) == told


def test_an_anomaly_without_absence_stays_without():
    assert absence_to_json(None) is None
    assert absence_from_json(None) is None


@pytest.mark.parametrize(
    "broken", [[], {}, {"reason": "bored", "n_absent": 1, "n_series": 1, "ended_by": ""}, 5]
)
def test_what_is_no_absence_is_refused(broken):
    with pytest.raises((KeyError, TypeError, ValueError)):
        absence_from_json(broken)


def test_counts_that_are_not_whole_are_refused():
    data = absence_to_json(facts("silent"))
    assert data is not None
    with pytest.raises(TypeError):
        absence_from_json(data | {"n_absent": 1.5})
