import numpy as np
import pytest

from aiops.domain.labels import label_value
from aiops.evaluate.faults import Fault, FaultKind
from aiops.evaluate.fleet import (
    CPU_SATURATED_RATIO,
    ERROR_RATIO,
    LATENCY_FACTOR,
    LEAK_FACTOR,
    METRICS,
    Fleet,
)
from aiops.wire.labels import decode_labels

START_MS = 1_700_000_000_000
N_QUIET, N_FAULT = 60, 50
"""Seconds before and during the fault."""


def scrape(fleet: Fleet, n: int = N_QUIET + N_FAULT, step_ms: int = 1000) -> np.ndarray:
    """Return values, a row per second."""
    return np.array([fleet.metrics_at(START_MS + k * step_ms).values for k in range(n)])


def columns(fleet: Fleet, metric: str, service: str, **extra: str) -> list[int]:
    wanted = {"__name__": metric, "service": service, **extra}
    return [
        k
        for k, labels in enumerate(fleet.labels)
        if all(label_value(labels, name) == value for name, value in wanted.items())
    ]


def harmed(kind: FaultKind, service: str | None = None) -> tuple[Fleet, str, np.ndarray]:
    """Return a fleet, its harmed service, and its values."""
    fleet = Fleet(1)
    service = service or fleet.services[10]
    fault = Fault(kind, service, START_MS + N_QUIET * 1000, N_FAULT * 1000, caller_fraction=0.5)
    fleet.inject(fault)
    return fleet, service, scrape(fleet)


def change(fleet: Fleet, values: np.ndarray, metric: str, service: str) -> float:
    """Return how a gauge's mean changed during the fault, as a factor."""
    found = values[:, columns(fleet, metric, service)]
    return float(found[N_QUIET:].mean() / found[:N_QUIET].mean())


def rates(fleet: Fleet, values: np.ndarray, service: str, code: str) -> tuple[float, float]:
    """Return a service's requests a second before and during the fault."""
    found = columns(fleet, "http_requests_total", service, code=code)
    per_s = np.diff(values[:, found], axis=0).sum(axis=1)
    return float(per_s[: N_QUIET - 1].mean()), float(per_s[N_QUIET:].mean())


def callers(fleet: Fleet, service: str) -> list[str]:
    found = fleet.graph.callers(fleet.services.index(service))
    return [fleet.services[k] for k in found]


def test_blocks_are_the_canonical_labels_and_marked_as_simulated():
    fleet = Fleet(1)
    assert [decode_labels(block) for block in fleet.blocks] == list(fleet.labels)
    assert len(set(fleet.blocks)) == len(fleet.blocks)
    assert {label_value(labels, "simulated") for labels in fleet.labels} == {"true"}
    assert {label_value(labels, "job") for labels in fleet.labels} == {"fleet-sim"}


def test_each_instance_has_every_metric_and_there_are_forty_services():
    fleet = Fleet(1)
    instances = {label_value(labels, "instance") for labels in fleet.labels}
    assert len(fleet.labels) == len(instances) * len(METRICS)
    assert len({label_value(labels, "service") for labels in fleet.labels}) == 40
    assert 80 <= len(instances) <= 120


def test_equal_seeds_and_times_give_equal_bits_and_other_seeds_do_not():
    assert np.array_equal(scrape(Fleet(7)), scrape(Fleet(7)))
    first, other = scrape(Fleet(7), 2), scrape(Fleet(8), 2)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_time_must_not_run_backwards():
    fleet = Fleet(1)
    fleet.metrics_at(START_MS)
    with pytest.raises(ValueError, match="does not follow"):
        fleet.metrics_at(START_MS)


def test_a_fault_at_an_unknown_service_is_refused():
    with pytest.raises(ValueError, match="atlantis"):
        Fleet(1).inject(Fault(FaultKind.CPU, "atlantis", START_MS, 1000))


def test_counters_never_fall_and_hold_whole_numbers():
    fleet = Fleet(2)
    fleet.inject(Fault(FaultKind.TRAFFIC_DROP, fleet.services[0], START_MS + 10_000, 20_000))
    counters = scrape(fleet)[:, : 2 * len(fleet.labels) // len(METRICS)]
    assert (np.diff(counters, axis=0) >= 0).all()
    assert np.array_equal(counters, np.floor(counters))


def test_all_values_are_finite_and_none_is_negative():
    values = scrape(Fleet(3))
    assert np.isfinite(values).all()
    assert (values >= 0).all()


def test_the_spacing_of_scrapes_does_not_change_rates_and_levels():
    dense, sparse = scrape(Fleet(1), 1000, 1000), scrape(Fleet(1), 200, 5000)
    n = 2 * len(Fleet(1).labels) // len(METRICS)
    requests = [(values[-1, :n] - values[0, :n]) for values in (dense, sparse)]
    assert np.allclose(requests[0].sum(), requests[1].sum(), rtol=0.1)
    assert np.allclose(np.median(dense[:, n:-n], 0), np.median(sparse[:, n:-n], 0), rtol=0.25)


def test_load_moves_services_together_down_the_graph():
    fleet = Fleet(1)
    values = scrape(fleet, 1000, 5000)
    usage = [
        values[:, columns(fleet, "cpu_usage_ratio", name)].mean(axis=1)
        for name in (fleet.services[0], fleet.services[-1])
    ]
    smooth = [np.convolve(each, np.ones(50) / 50, "valid") for each in usage]
    assert np.corrcoef(smooth)[0, 1] > 0.5


def test_a_fault_changes_nothing_before_it_starts_and_nothing_unrelated():
    fleet, service, values = harmed(FaultKind.LATENCY)
    well = scrape(Fleet(1))
    assert np.array_equal(values[:N_QUIET], well[:N_QUIET])
    touched = {
        label_value(fleet.labels[k], "service")
        for k in np.flatnonzero((values != well).any(axis=0))
    }
    assert touched == {service, *callers(fleet, service)}


def test_the_truth_lists_injected_faults_and_which_are_active():
    fleet = Fleet(1)
    fault = Fault(FaultKind.CPU, fleet.services[3], START_MS, 1000)
    fleet.inject(fault)
    assert fleet.truth() == (fault,)
    assert fleet.active_faults(START_MS + 999) == (fault,)
    assert fleet.active_faults(START_MS + 1000) == ()


def test_a_latency_fault_makes_the_service_four_times_as_slow_and_callers_half_as_bad():
    fleet, service, values = harmed(FaultKind.LATENCY)
    slower = change(fleet, values, "request_latency_seconds", service)
    assert slower == pytest.approx(LATENCY_FACTOR, rel=0.1)
    for caller in callers(fleet, service):
        slower = change(fleet, values, "request_latency_seconds", caller)
        assert slower == pytest.approx(1 + (LATENCY_FACTOR - 1) / 2, rel=0.1)


def test_an_error_fault_makes_a_fifth_of_the_requests_fail_and_a_tenth_at_callers():
    fleet, service, values = harmed(FaultKind.ERRORS)
    for name, added in [
        (service, ERROR_RATIO),
        *((c, ERROR_RATIO / 2) for c in callers(fleet, service)),
    ]:
        good, bad = rates(fleet, values, name, "200"), rates(fleet, values, name, "500")
        assert bad[0] / (good[0] + bad[0]) < 0.02
        assert bad[1] / (good[1] + bad[1]) == pytest.approx(added, abs=0.02)


def test_a_cpu_fault_saturates_the_service_and_slows_its_callers():
    fleet, service, values = harmed(FaultKind.CPU)
    usage = values[N_QUIET:, columns(fleet, "cpu_usage_ratio", service)]
    assert usage.mean() == pytest.approx(CPU_SATURATED_RATIO, abs=0.02)
    assert usage.max() <= 1.0
    for caller in callers(fleet, service):
        assert change(fleet, values, "request_latency_seconds", caller) > 1.3


def test_a_memory_leak_grows_to_its_full_size_and_is_gone_afterwards():
    fleet, service, _ = harmed(FaultKind.MEMORY_LEAK)
    after = fleet.metrics_at(START_MS + (N_QUIET + N_FAULT) * 1000).values
    well = Fleet(1)
    values = scrape(well)
    found = columns(fleet, "memory_bytes", service)
    leaky = harmed(FaultKind.MEMORY_LEAK)[2]
    grown = leaky[:, found] / values[:, found]
    assert (np.diff(grown[N_QUIET:], axis=0) > 0).all()
    assert grown[-1] == pytest.approx([LEAK_FACTOR] * len(found), rel=0.05)
    assert after[found] == pytest.approx(values[-1, found], rel=0.1)


def test_a_traffic_drop_reaches_the_service_and_everything_below_it():
    fleet, service, values = harmed(FaultKind.TRAFFIC_DROP, "gateway")
    before, during = rates(fleet, values, service, "200")
    assert during / before == pytest.approx(0.15, abs=0.05)
    called = [fleet.services[k] for k in np.flatnonzero(fleet.graph.calls[0])]
    for name in called:
        before, during = rates(fleet, values, name, "200")
        assert during < 0.9 * before
