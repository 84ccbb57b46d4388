"""Measuring detectors on small sets: what is pooled, what is left out, who is worst."""

import math

import numpy as np
import pytest
from labelled_data import write_all, write_machines, write_univariate

from aiops.evaluate.baselines import BASELINES, ewma_z, holt_winters_z, spot
from aiops.evaluate.contenders import Contender, Subset, our_detector, rivals
from aiops.evaluate.datasets import DatasetError, load_set
from aiops.evaluate.pick import find_series, metric_of, worst_series
from aiops.evaluate.quality import count_rows, measure
from aiops.evaluate.scorers import vus_pr


def sets(data, *names):
    return [load_set(data, name) for name in names]


def all_sets(data):
    return sets(write_all(data), "kpi_small", "nab_small", "smd_small", "asd_small")


def oracle(scale=1.0, **settings):
    """A contender that scores how far a value is from 10."""
    return Contender(
        names=("oracle",),
        score=lambda _ts_ms, values: (scale * np.abs(values - 10.0),),
        levels=(3.0, 4.0),
        warmup_rows=0,
        **settings,
    )


def test_a_detector_that_sees_every_jump_gets_full_marks(tmp_path):
    (row,) = measure(oracle(), all_sets(tmp_path))
    assert row.kpi_event.f1 == 1.0 and row.kpi_row.f1 == 1.0
    assert row.nab.score > 99
    assert row.smd_vus_pr > 0.9 and row.asd_vus_pr > 0.9


def test_a_detector_that_says_nothing_gets_none(tmp_path):
    (row,) = measure(oracle(scale=0.0), all_sets(tmp_path))
    assert (row.kpi_event.f1, row.nab.score) == (0.0, 0.0)
    assert (row.ratios.at_1e3, row.ratios.at_1e4) == (0.0, 0.0)


def test_false_alarms_are_pooled_over_normal_rows_after_the_warm_up(tmp_path):
    data = write_machines(write_univariate(tmp_path, "kpi_a", n_series=1), "smd_a", n_metrics=2)
    datasets = sets(data, "kpi_a", "smd_a")
    (row,) = measure(oracle(), datasets)
    series, machine = datasets[0].series[0], datasets[1].machines[0]
    kpi = np.abs(series.values[60:][~series.labels[60:]] - 10)
    smd = np.abs(machine.values[600:][~machine.labels[600:]] - 10).ravel()
    pooled = np.concatenate([kpi, smd])
    assert row.ratios.at_1e3 == pytest.approx((pooled >= 3).mean() / 1e-3)
    assert row.ratios_by_set["smd_a"].at_1e3 == pytest.approx((smd >= 3).mean() / 1e-3)


def test_a_detectors_own_warm_up_is_left_out_of_the_ratios(tmp_path):
    datasets = sets(write_univariate(tmp_path, "kpi_a", n_series=1), "kpi_a")
    late = Contender(("late",), oracle().score, (0.0, 0.0), warmup_rows=500)
    (row,) = measure(late, datasets)
    assert row.ratios.at_1e3 == pytest.approx(1000), "all judged rows are in alarm"


def test_a_machine_is_judged_by_the_mean_of_its_metrics_on_test_rows(tmp_path):
    datasets = sets(write_machines(tmp_path, "asd_a"), "asd_a")
    (row,) = measure(oracle(), datasets)
    machine = datasets[0].machines[0]
    mean = np.abs(machine.values[600:] - 10).mean(axis=1)
    assert row.asd_vus_pr == pytest.approx(vus_pr(machine.labels[600:], mean))
    assert row.smd_vus_pr is None and row.kpi_event is None and row.nab is None


def test_ours_gives_a_row_for_severity_and_one_for_alert(tmp_path):
    rows = measure(our_detector(), all_sets(tmp_path))
    assert [row.name for row in rows] == ["default severity", "default alert"]
    # Not F1 over time: what comes again scores less, and the halves have one like fault each.
    assert rows[0].smd_vus_pr > 0.5 and rows[0].asd_vus_pr > 0.5
    assert rows[0].n_rows == 3 * 900 + 2 * 900 + 3 * 1000 + 2 * 1000
    assert rows[0].cpu_us_per_row > 0


@pytest.mark.parametrize("rival", rivals(), ids=lambda rival: rival.names[0])
def test_every_rival_can_be_measured(tmp_path, rival):
    data = write_machines(write_univariate(tmp_path, "kpi_a", n_series=2), "asd_a", n_metrics=2)
    (row,) = measure(rival, sets(data, "kpi_a", "asd_a"))
    assert 0 <= row.kpi_event.f1 <= 1 and 0 < row.asd_vus_pr <= 1
    assert (row.ratios is None) == (rival.levels is None)


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
def test_every_rival_is_causal_and_judges_series_alone(baseline):
    rng = np.random.default_rng(3)
    values = np.column_stack([rng.normal(10, 1, 700), rng.exponential(1, 700)])
    values[550:560] += 30
    values[100, 0] = math.nan
    ts_ms = 1_700_000_000_000 + 300_000 * np.arange(700)
    whole = baseline.score(ts_ms, values)
    np.testing.assert_array_equal(baseline.score(ts_ms[:600], values[:600]), whole[:600])
    np.testing.assert_array_equal(baseline.score(ts_ms, values[:, 1:])[:, 0], whole[:, 1])
    assert np.isfinite(whole).all() and whole.max() > 0
    assert (whole[: baseline.warmup_rows] == 0).all()


def test_spot_says_nothing_before_its_threshold_exists():
    short = np.random.default_rng(1).normal(size=500)
    assert (spot(np.arange(500), short) == 0).all()
    assert (spot(np.arange(600), np.full(600, math.nan)) == 0).all()


def test_holt_winters_learns_a_day_that_a_plain_average_does_not():
    ts_ms = 300_000 * np.arange(288 * 40)
    values = 10 + 5 * np.sin(ts_ms * 2 * np.pi / 86_400_000)
    values += 0.1 * np.random.default_rng(2).normal(size=len(values))
    values[288 * 39 + 72] = 12.0  # usual for the series, not for the hour
    daily, plain = holt_winters_z(ts_ms, values), ewma_z(ts_ms, values)
    assert daily[288 * 39 + 72] == daily[288 * 30 :].max() > 8
    assert plain[288 * 39 + 72] < 3


def test_a_single_row_is_scored_by_all_that_are_fast():
    for baseline in (ewma_z, holt_winters_z, spot):
        assert baseline(np.array([0]), np.array([1.0])).tolist() == [0.0]


def test_a_subset_is_first_rows_and_evenly_chosen_metrics(tmp_path):
    datasets = all_sets(tmp_path)
    subset = Subset(rows_max=700, metrics_max=2)
    kpi, machines = subset.of(datasets[0]), subset.of(datasets[2])
    assert [len(series.values) for series in kpi.series] == [700] * 3
    assert kpi.series[0].windows == ((300, 305),)
    whole = datasets[2].machines[0].values
    np.testing.assert_array_equal(machines.machines[0].values, whole[:, [0, 2]])
    partial = oracle(subset=subset)
    (row,) = measure(partial, datasets)
    assert row.n_rows == count_rows(partial, datasets) == 3 * 700 + 2 * 700 + 2000 + 2000
    assert row.subset == "first 700 rows of each series, 2 metrics of each machine"


def test_progress_is_told_of_every_series(tmp_path):
    told = []
    measure(oracle(), all_sets(tmp_path), lambda what, n_rows: told.append((what, n_rows)))
    assert told[0] == ("kpi_small series-0", 900) and told[-1] == ("asd_small machine-1", 2000)


def test_the_record_is_plain_and_has_no_figure_that_was_not_measured(tmp_path):
    (row,) = measure(oracle(), sets(write_univariate(tmp_path, "kpi_a"), "kpi_a"))
    record = row.as_record()
    assert record["kpi_event_f1"] == 1.0 and record["detector"] == "oracle"
    assert "nab_standard" not in record and "smd_vus_pr" not in record and "subset" not in record


def test_the_worst_series_are_those_with_most_errors(tmp_path):
    (dataset,) = sets(write_univariate(tmp_path, "kpi_a", n_series=3), "kpi_a")
    dataset.series[1].values[500:700:40] += 80  # false alarms
    (row,) = measure(oracle(), [dataset])
    (worst,) = worst_series(dataset, row.losses, 1, "default")
    assert worst[0].name == "series-1" and worst[1] >= 4


def test_a_machine_is_shown_by_its_loudest_metric(tmp_path):
    (dataset,) = sets(write_machines(tmp_path, "smd_a"), "smd_a")
    machine = dataset.machines[0]
    machine.values[700:720, 1] += 50
    (row,) = measure(our_detector(), [dataset])[:1]
    ((series, loss),) = worst_series(dataset, row.losses, 5, "default")
    assert series.name == "machine-1/1" and loss == pytest.approx(1 - row.smd_vus_pr)


def test_series_and_metrics_are_found_by_name(tmp_path):
    kpi, _nab, smd, _asd = all_sets(tmp_path)
    assert find_series(kpi, "series-2") is kpi.series[2]
    metric = find_series(smd, "machine-1/2")
    np.testing.assert_array_equal(metric.values, smd.machines[0].values[:, 2])
    assert metric.windows == metric_of(smd.machines[0], 0).windows and metric.windows[0][0] >= 600


@pytest.mark.parametrize("name", ["machine-1", "machine-1/3", "machine-1/x", "nobody"])
def test_a_name_that_does_not_exist_is_an_error_that_lists_those_that_do(tmp_path, name):
    with pytest.raises(DatasetError, match="there are machine-1/0-2"):
        find_series(all_sets(tmp_path)[2], name)
