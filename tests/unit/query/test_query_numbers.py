import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.query.numbers import format_sample, format_scalar, json_time


@pytest.mark.parametrize(
    ("value", "sample", "scalar"),
    [
        (1.0, "1", "1"),
        (-0.0, "-0", "-0"),
        (0.30000000000000004, "0.30000000000000004", "0.30000000000000004"),
        (1e20, "100000000000000000000", "100000000000000000000"),
        (1e21, "1e+21", "1000000000000000000000"),
        (1.5e300, "1.5e+300", "15" + "0" * 299),
        (1e-6, "0.000001", "0.000001"),
        (9.99e-7, "9.99e-07", "0.000000999"),
        (1e-5, "0.00001", "0.00001"),
        (123456789012345678.0, "123456789012345680", "123456789012345680"),
        (5e-324, "5e-324", "0." + "0" * 323 + "5"),
        (math.nan, "NaN", "NaN"),
        (math.inf, "+Inf", "+Inf"),
        (-math.inf, "-Inf", "-Inf"),
    ],
)
def test_numbers_are_spelt_as_prometheus_spells_them(value, sample, scalar):
    assert (format_sample(value), format_scalar(value)) == (sample, scalar)


@given(st.floats(allow_nan=False))
def test_spelt_numbers_read_back_to_the_same_bits(value):
    for text in (format_sample(value), format_scalar(value)):
        assert struct.pack("d", float(text)) == struct.pack("d", value)


def test_times_are_seconds_and_whole_ones_have_no_point():
    assert json_time(1435781451781) == 1435781451.781
    assert repr(json_time(4000)) == "4"
    assert json_time(-1500) == -1.5
