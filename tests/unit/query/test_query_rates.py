import math
import random

import numpy as np
import pytest

from aiops.query import Window, encode_range
from tests.unit.query.query_fakes import STALE, MemoryReader, rows_of, run_query


def ranged(text, samples, *, start_s, end_s, step_s):
    window = Window(round(start_s * 1000), round(end_s * 1000), round(step_s * 1000))
    value = run_query(text, MemoryReader([rows_of("total", samples, job="a")]), window)
    found = encode_range(value, window.times_ms()).data["result"]
    assert all(one["metric"] == {"job": "a"} for one in found)
    return {at: float(v) for one in found for at, v in one["values"]}


def at(text, samples, at_s):
    return ranged(text, samples, start_s=at_s, end_s=at_s, step_s=1).get(at_s)


def naive_extrapolated(points, start_ms, end_ms, *, is_rate):
    """Follow Prometheus 3's extrapolatedRate line by line for one window."""
    if len(points) < 2:
        return None
    (first_ms, first), (last_ms, last) = points[0], points[-1]
    result = last - first
    previous = first
    for _, value in points[1:]:
        if value < previous:
            result += previous
        previous = value
    to_start, to_end = (first_ms - start_ms) / 1000, (end_ms - last_ms) / 1000
    sampled = (last_ms - first_ms) / 1000
    average = sampled / (len(points) - 1)
    if to_start >= average * 1.1:
        to_start = average / 2
    to_zero = to_start
    if result > 0 and first >= 0:
        to_zero = sampled * (first / result)
    to_start = min(to_start, to_zero)
    if to_end >= average * 1.1:
        to_end = average / 2
    factor = (sampled + to_start + to_end) / sampled
    if is_rate:
        factor /= (end_ms - start_ms) / 1000
    return result * factor


def random_counter(seed):
    """Make a counter with gaps, resets and a marker from a seed."""
    rng = random.Random(seed)
    samples, at_s, value = {}, 0.0, rng.choice([0.0, 1.0, 1e6])
    for _ in range(rng.randint(0, 60)):
        at_s = round(at_s + rng.choice([1, 1, 1, 1.003, 2, 9]), 3)
        value = 0.0 if rng.random() < 0.1 else value + rng.choice([0, 0.1, 1, 7.3])
        samples[at_s] = STALE if rng.random() < 0.05 else value
    return samples


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("function", ["rate", "increase"])
def test_rates_equal_the_naive_computation_to_the_bit(seed, function):
    samples = random_counter(seed)
    found = ranged(f"{function}(total[10s])", samples, start_s=0, end_s=80, step_s=1.5)
    for step in range(54):
        end_ms = step * 1500
        points = [
            (round(s * 1000), v)
            for s, v in samples.items()
            if end_ms - 10_000 < round(s * 1000) <= end_ms and not math.isnan(v)
        ]
        expected = naive_extrapolated(points, end_ms - 10_000, end_ms, is_rate=function == "rate")
        assert found.get(end_ms / 1000) == expected


def test_a_range_leaves_its_start_out():
    assert at("increase(total[10s])", {0.0: 1.0, 10.0: 2.0}, 10) is None
    assert at("increase(total[10s])", {0.001: 1.0, 10.0: 2.0}, 10) == pytest.approx(1.0, rel=1e-3)


def test_a_steady_counter_has_its_true_rate():
    assert at("rate(total[1m])", {15.0 * k: 30.0 * k for k in range(20)}, 200) == pytest.approx(2)


def test_irate_takes_the_last_two_samples_and_starts_from_zero_after_a_reset():
    assert at("irate(total[1m])", {1.0: 5.0, 2.0: 6.0, 4.0: 10.0}, 10) == 2.0
    assert at("irate(total[1m])", {1.0: 5.0, 2.0: 6.0, 4.0: 3.0}, 10) == 1.5


def test_one_sample_has_no_rate():
    assert at("rate(total[1m])", {1.0: 5.0}, 10) is None
    assert at("irate(total[1m])", {1.0: 5.0}, 10) is None


def test_offset_and_at_shift_the_window():
    samples = {float(k): float(k * k) for k in range(100)}
    now = at("irate(total[10s])", samples, 50)
    assert now == 99.0
    assert at("irate(total[10s] offset 20s)", samples, 70) == now
    assert at("irate(total[10s] @ 50)", samples, 70) == now


def test_a_rate_enters_expressions_and_aggregations():
    samples = {float(k): 2.0 * k for k in range(100)}
    reader = MemoryReader([rows_of("total", samples, job=job) for job in "ab"])
    value = run_query("sum(rate(total[10s])) * 2", reader, Window(50_500, 50_500))
    assert value.values.tolist() == [[pytest.approx(8.0)]]


def test_derived_series_have_rates_too():
    reader = MemoryReader([rows_of("up", {1.0: 0.0, 2.0: 1.0}, scores=[1.0, 4.0])])
    value = run_query("irate(aiops_score[1m])", reader, Window(3000, 3000))
    assert value.values.tolist() == [[3.0]]
    assert np.array_equal(value.present, [[True]])
