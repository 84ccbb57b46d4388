import pytest

from aiops.errors import QueryError
from aiops.serve.prometheus_params import (
    Params,
    label_name_param,
    limit_param,
    matcher_sets_param,
    parse_duration_ns,
    parse_time,
    range_window,
)

FAR = 2**53


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("4", 4000),
        ("1435781451.781", 1435781451781),
        ("1795487432.3360052", 1795487432336),
        ("-1.5", -1500),
        ("1.9996", 2000),
        ("-0.0004", 0),
        ("1e3", 1_000_000),
        ("2023-01-02T03:04:05.5Z", 1672628645500),
        ("2023-01-02T03:04:05+01:00", 1672625045000),
        ("2023-01-02T03:04:05.123456789Z", 1672628645123),
        ("-inf", -FAR),
        ("+Inf", FAR),
        ("1e300", FAR),
        ("-292273086-05-16T16:47:06Z", -FAR),
        ("+292277025-08-18T07:12:54.999999999Z", FAR),
    ],
)
def test_times_are_float_seconds_or_rfc3339_and_never_overflow(text, ms):
    assert parse_time(text) == ms


@pytest.mark.parametrize(
    "text", ["", "abc", " 1", "1_0", "nan", "0x10", "2023-01-02", "2023-13-02T03:04:05Z", "٣"]
)
def test_other_texts_are_no_times(text):
    with pytest.raises(QueryError, match="to a valid timestamp"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("15", 15_000),
        ("0.5", 500),
        ("-1", -1000),
        ("15s", 15_000),
        ("20ms", 20),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
        ("1w", 604_800_000),
        ("1y", 31_536_000_000),
    ],
)
def test_durations_are_float_seconds_or_units(text, ms):
    assert parse_duration_ns(text) == ms * 1_000_000


@pytest.mark.parametrize(
    "text", ["", "1ns", "m", "30m1h", "1e300", "inf", "99999y", "9" * 400 + "s"]
)
def test_other_texts_are_no_durations(text):
    with pytest.raises(QueryError, match="to a valid duration"):
        parse_duration_ns(text)


def test_a_step_below_a_millisecond_is_no_step():
    with pytest.raises(QueryError, match="zero or negative"):
        range_window(_params(start="0", end="1", step="0.0001"))


def test_eleven_thousand_steps_pass_and_one_more_does_not():
    assert len(range_window(_params(start="0", end="11000", step="1")).times_ms()) == 11_001
    with pytest.raises(QueryError, match="exceeded maximum resolution"):
        range_window(_params(start="0", end="11001", step="1"))


@pytest.mark.parametrize(
    ("escaped", "name"),
    [
        ("job", "job"),
        ("__name__", "__name__"),
        ("U__b_2d_d", "b-d"),
        ("U__a__b", "a_b"),
        ("U__caf_e9_", "café"),
        ("U___1f600_", "\N{GRINNING FACE}"),
        ("U__bad_zz_", "U__bad_zz_"),
        ("U__bad_", "U__bad_"),
        ("U__bad_d800_", "U__bad_d800_"),
    ],
)
def test_label_names_are_unescaped_when_their_escapes_are_whole(escaped, name):
    assert label_name_param(escaped) == name


@pytest.mark.parametrize("escaped", ["b-d", "", "1a", "é"])
def test_illegal_label_names_are_refused(escaped):
    with pytest.raises(QueryError, match="invalid label name"):
        label_name_param(escaped)


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 30])
def test_bad_limits_are_refused(text):
    with pytest.raises(QueryError, match='invalid parameter "limit"'):
        limit_param(_params(limit=text))


@pytest.mark.parametrize("text", ["{}", "", '{a=""}', '{a=~".*"}'])
def test_selectors_that_match_everything_are_refused(text):
    with pytest.raises(QueryError):
        matcher_sets_param(Params({"match[]": (text,)}))


def _params(**values):
    return Params({name: (value,) for name, value in values.items()})
