"""What is said of a forecast, and its JSON."""

import math

import pytest

from aiops.domain.forecast import (
    ForecastFacts,
    forecast_from_json,
    forecast_text,
    forecast_to_json,
)

FULL = ForecastFacts(0.0, False, 18_000.0, 14_400.0, 25_200.0, -0.5)


def test_time_left_is_told_with_its_interval():
    told = forecast_text(FULL, 12.3e9, "B")
    assert told == "12 GB, at 0 B in 5 h (80 %: 4 h to 7 h) at the present trend"


def test_a_far_end_that_may_never_come_is_told_as_such():
    facts = ForecastFacts(0.9, True, 3000.0, 1800.0, math.inf, 1e-4)
    told = forecast_text(facts, 0.6, "")
    assert told == "0.60, at 0.9 in 50 min (80 %: 30 min or much later) at the present trend"


def test_what_is_there_has_no_time_left():
    facts = ForecastFacts(0.0, False, 0.0, 0.0, 0.0, -0.5)
    assert forecast_text(facts, 0.0, "B") == "0 B, has reached 0 B"


@pytest.mark.parametrize(
    ("eta_s", "words"), [(60, "60 s"), (600, "10 min"), (9000, "2.5 h"), (259_200, "3.0 d")]
)
def test_spans_have_a_fitting_unit(eta_s, words):
    facts = ForecastFacts(0.0, False, eta_s, eta_s, eta_s, -1.0)
    assert f"in {words} (" in forecast_text(facts, 5.0, "")


@pytest.mark.parametrize("far_s", [25_200.0, math.inf])
def test_json_gives_the_same_facts_back(far_s):
    facts = ForecastFacts(0.0, False, 18_000.0, 14_400.0, far_s, -0.5)
    assert forecast_from_json(forecast_to_json(facts)) == facts


def test_no_facts_are_null():
    assert forecast_to_json(None) is None
    assert forecast_from_json(None) is None


@pytest.mark.parametrize("data", [[], "x", 3])
def test_something_else_is_refused(data):
    with pytest.raises(TypeError):
        forecast_from_json(data)


def test_a_number_that_is_text_is_refused():
    data = forecast_to_json(FULL) | {"eta_s": "soon"}
    with pytest.raises(TypeError, match="soon"):
        forecast_from_json(data)
