"""Ratios of counters, with enough observations in each."""

import math

import numpy as np
import pytest

from aiops.config_derived import DerivedConfig, RatioRule
from aiops.domain.labels import labels_from
from aiops.domain.samples import STALE_BITS
from aiops.errors import ConfigError, SnapshotError
from aiops.series.kernels.ratios import k_ratios_add
from aiops.series.ratios import Ratios
from benchmarks.kernel_cases_ratios import ratios_add
from tests.naive.ratios import naive_ratios_add

T0_MS = 1_700_000_000_000
STALE = "stale"
STALE_VALUE = np.array([STALE_BITS], np.uint64).view(np.float64)[0]
RULE = RatioRule(
    name="shop:error_ratio",
    numerator='requests_total{code=~"5.."}',
    denominator="requests_total",
    by=("service",),
)


def request_labels(code: str, service: str = "cart"):
    return labels_from({"__name__": "requests_total", "code": code, "service": service})


def joined(*codes: str, rules=(RULE,), services=("cart",)) -> Ratios:
    """Return ratios over series that have slots in order of services and codes."""
    ratios = Ratios(rules, 100, 32)
    for slot, (service, code) in enumerate((s, c) for s in services for c in codes):
        ratios.join(slot, request_labels(code, service))
    return ratios


def take(ratios: Ratios, second: int, values):
    """Feed a scrape; return [(group, value or STALE)]."""
    n = len(values)
    bits = np.array(values, np.float64).view(np.uint64)
    told = ratios.take(np.arange(n, dtype=np.int32), np.full(n, T0_MS + 1000 * second), bits.copy())
    assert told is not None
    stale = (told.bits == np.uint64(STALE_BITS)).tolist()
    shown = told.bits.view(np.float64).tolist()
    values_told = [STALE if s else v for s, v in zip(stale, shown, strict=True)]
    return list(zip(told.families.tolist(), values_told, strict=True))


def test_errors_are_divided_by_all_requests_of_a_label_set():
    ratios = joined("200", "500", "503", services=("cart", "search"))
    take(ratios, 0, [0] * 6)
    assert take(ratios, 60, [90, 6, 4, 100, 0, 0]) == [(0, 0.1), (1, 0.0)]
    assert dict(ratios.labels(1)) == {"__name__": "shop:error_ratio", "service": "search"}


def test_one_error_of_two_requests_is_no_value():
    ratios = joined("200", "500")
    take(ratios, 0, [0, 0])
    assert take(ratios, 60, [1, 1]) == []


def test_a_window_goes_on_until_enough_requests_came():
    ratios = joined("200", "500")
    take(ratios, 0, [0, 0])
    assert take(ratios, 60, [60, 1]) == []
    assert take(ratios, 120, [98, 2]) == [(0, 0.02)]
    assert take(ratios, 180, [120, 2]) == []


def test_a_window_that_got_too_old_is_given_up():
    ratios = joined("200", "500")
    take(ratios, 0, [0, 0])
    for minute in range(1, 16):
        assert take(ratios, 60 * minute, [50, 40]) == []
    assert take(ratios, 60 * 16, [150, 40]) == [(0, 0.0)]


def test_values_are_a_step_apart():
    ratios = joined("200", "500")
    take(ratios, 0, [0, 0])
    told = [take(ratios, 15 * k, [1000 * k, 0]) for k in range(1, 9)]
    assert [len(values) for values in told] == [0, 0, 0, 1, 0, 0, 0, 1]


def test_a_counter_reset_and_the_first_sample_are_no_decrease_and_no_increase():
    ratios = joined("200", "500")
    take(ratios, 0, [5000, 4000])
    assert take(ratios, 60, [150, 50]) == [(0, 0.25)]


def test_a_ratio_ends_with_its_last_series():
    ratios = joined("200", "500")
    take(ratios, 0, [0, 0])
    assert take(ratios, 60, [STALE_VALUE, 10]) == []
    assert take(ratios, 120, [STALE_VALUE, STALE_VALUE]) == [(0, STALE)]
    assert take(ratios, 180, [STALE_VALUE, STALE_VALUE]) == []


def test_a_ratio_goes_with_the_last_series_that_leaves_and_its_number_is_used_again():
    ratios = joined("200", "500")
    slots = np.array([0, 1], np.int32)
    assert ratios.families_of(slots).tolist() == [0]
    assert (ratios.leave(1), ratios.leave(0), ratios.leave(0)) == ([], [0], [])
    ratios.join(5, request_labels("200", "search"))
    assert ratios.families_of(np.array([5, 0], np.int32)).tolist() == [0]
    assert ratios.n_live == ratios.n_families == 1


def test_ratios_beyond_the_bound_are_refused_and_counted():
    ratios = Ratios((RULE,), 1, 8)
    ratios.join(0, request_labels("200"))
    ratios.join(1, request_labels("200", "search"))
    assert (ratios.n_live, ratios.refused_total) == (1, 1)


def test_a_series_of_no_ratio_changes_nothing():
    ratios = joined("200")
    ratios.join(3, labels_from({"__name__": "other"}))
    assert ratios.families_of(np.array([3], np.int32)).tolist() == []


def test_a_restored_state_goes_on_to_the_bit():
    ratios, other = joined("200", "500", services=("cart", "search")), Ratios((RULE,), 100, 32)
    take(ratios, 0, [0] * 4)
    take(ratios, 60, [30, 1, 200, 7])
    ratios.leave(1)
    saved = {name: array.copy() for name, array in ratios.state(4).items()}
    assert other.is_known_to(saved)
    other.restore(saved)
    for part in (ratios, other):
        part.join(1, request_labels("500"))
        take(part, 120, [300, 50, 400, 9])
    assert {n: a.tobytes() for n, a in ratios.state(4).items()} == {
        n: a.tobytes() for n, a in other.state(4).items()
    }


def test_a_state_by_other_rules_is_not_known_and_one_with_a_part_is_refused():
    ratios = joined("200")
    renamed = RULE.model_copy(update={"name": "shop:failures"})
    assert not Ratios((renamed,), 1, 1).is_known_to(ratios.state(1))
    with pytest.raises(SnapshotError, match="lack"):
        ratios.is_known_to({"ratios.sums": np.zeros(1)})


def test_a_selector_that_does_not_parse_is_named():
    rule = RULE.model_copy(update={"denominator": "requests_total{"})
    with pytest.raises(ConfigError, match=r"derived.ratios\[0\]"):
        Ratios((rule,), 1, 1)


def test_names_of_ratios_must_differ():
    with pytest.raises(ValueError, match="must differ"):
        DerivedConfig(ratios=(RULE, RULE))


def test_the_kernel_sums_what_its_twin_does():
    """k_ratios_add beside naive_ratios_add, as the case of the benchmark compares them."""
    assert ratios_add(k_ratios_add, 100).is_right()


def test_an_empty_batch_and_an_odd_value_add_nothing():
    ratios = joined("200", "500")
    take(ratios, 0, [0, 0])
    assert take(ratios, 30, []) == []
    assert take(ratios, 60, [math.inf, math.nan]) == []
    sums: dict = {}
    naive_ratios_add({0: 1.0}, sums, {}, {0: [(0, 1)]}, [(0, 1, math.inf), (0, 2, 3.0)])
    assert sums == {(0, 1): 2.0}
