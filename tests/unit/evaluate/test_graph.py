import numpy as np
import pytest

from aiops.evaluate.graph import GATEWAY_LOAD_PER_S, LOAD_PER_S_MIN, ServiceGraph, build_graph

SIZES = (5, 6, 10, 40, 200)


def graph(n_services: int = 40, seed: int = 1) -> ServiceGraph:
    return build_graph(np.random.default_rng(seed), n_services)


@pytest.mark.parametrize("n", SIZES)
def test_a_graph_has_the_services_asked_for_under_distinct_names(n: int):
    assert len(set(graph(n).names)) == n


@pytest.mark.parametrize("n", SIZES)
def test_all_five_layers_exist_and_calls_go_one_layer_down(n: int):
    found = graph(n)
    assert sorted(set(found.depths.tolist())) == [0, 1, 2, 3, 4]
    callers, callees = np.nonzero(found.calls)
    assert set((found.depths[callees] - found.depths[callers]).tolist()) == {1}


@pytest.mark.parametrize("n", SIZES)
def test_only_the_top_layer_has_no_callers(n: int):
    found = graph(n)
    assert all(bool(found.callers(k)) == (found.depths[k] > 0) for k in range(n))


def test_fewer_services_than_layers_are_refused():
    with pytest.raises(ValueError, match="at least 5"):
        graph(4)


def test_every_service_has_the_least_load_and_the_gateway_its_own():
    found = graph()
    load = found.load_per_s(np.ones(40))
    assert load[0] == GATEWAY_LOAD_PER_S
    assert load.min() >= LOAD_PER_S_MIN - 1e-6


def test_load_lost_at_a_service_is_lost_to_those_it_calls():
    found = graph()
    admitted = np.ones(40)
    admitted[0] = 0.0
    lost = found.load_per_s(np.ones(40)) - found.load_per_s(admitted)
    called = np.flatnonzero(found.calls[0])
    assert np.allclose(lost[called], found.calls[0, called] * GATEWAY_LOAD_PER_S)


def test_loss_at_a_leaf_touches_nobody_else():
    found = graph()
    admitted = np.ones(40)
    admitted[-1] = 0.5
    lost = found.load_per_s(np.ones(40)) - found.load_per_s(admitted)
    assert np.flatnonzero(lost).tolist() == [39]
