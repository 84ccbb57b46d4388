"""Labelled sets: how they are read, and what is said of those that cannot be."""

import numpy as np
import pytest
from labelled_data import write, write_all, write_machines, write_univariate

from aiops.evaluate.datasets import DatasetError, increasing, load_set, set_names


def test_the_sets_of_a_folder_are_found_by_their_family(tmp_path):
    write(write_all(tmp_path), "unrelated", {"a": np.zeros(1)})
    assert set_names(tmp_path) == ("asd_small", "kpi_small", "nab_small", "smd_small")


def test_a_folder_without_sets_is_an_error_with_the_remedy(tmp_path):
    with pytest.raises(DatasetError, match=r"no labelled sets in .*--data or AIOPS_DATA"):
        set_names(tmp_path / "nowhere")


def test_series_come_apart_at_their_offsets_with_epoch_times(tmp_path):
    found = load_set(write_univariate(tmp_path, "kpi_a", n_series=2, n=100), "kpi_a")
    first, second = found.series
    assert (found.family, first.name, second.name) == ("kpi", "series-0", "series-1")
    assert first.ts_ms[:2].tolist() == [1_500_000_000_000, 1_500_000_060_000]
    assert second.ts_ms[0] == first.ts_ms[0] and len(second.values) == 100
    assert first.windows == ((33, 38), (80, 85))
    assert np.flatnonzero(first.labels).tolist() == [*range(33, 39), *range(80, 86)]


def test_windows_of_nab_are_those_of_its_file(tmp_path):
    found = load_set(write_univariate(tmp_path, "nab_a", n=100, has_windows=True), "nab_a")
    assert found.series[1].windows == ((33, 62), (80, 109))


def test_a_machine_is_its_train_rows_then_its_test_rows(tmp_path):
    found = load_set(write_machines(tmp_path, "asd_a", n_metrics=4), "asd_a")
    (machine,) = found.machines
    assert machine.values.shape == (1000, 4) and machine.n_train == 600
    assert not machine.labels[:600].any() and machine.labels[600:].sum() == 12
    assert machine.values[:600].mean() == pytest.approx(10, abs=0.1)
    assert np.diff(machine.ts_ms).tolist() == [300_000] * 999
    assert found.truths == (machine,)


def test_rows_that_are_not_later_move_as_little_as_need_be():
    ts_ms = np.array([0, 60, 60, 30, 120, 180]) * 1000
    assert (increasing(ts_ms) / 1000).tolist() == [0, 60, 61, 62, 120, 180]


def test_an_unknown_set_is_an_error_that_names_the_known_ones(tmp_path):
    with pytest.raises(DatasetError, match="no set 'nab_b'; there are asd_small, kpi_small"):
        load_set(write_all(tmp_path), "nab_b")


@pytest.mark.parametrize("missing", ["off", "values", "labels"])
def test_a_set_that_lacks_a_column_is_an_error_with_its_path(tmp_path, missing):
    path = write_univariate(tmp_path, "kpi_a", n=100) / "detection/kpi_a.npz"
    with np.load(path) as arrays:
        rest = {name: arrays[name] for name in arrays.files if name != missing}
    write(tmp_path, "kpi_a", rest)
    with pytest.raises(DatasetError, match=rf"kpi_a\.npz is not laid out .*{missing}"):
        load_set(tmp_path, "kpi_a")


def test_what_is_no_archive_or_holds_objects_is_refused(tmp_path):
    write(tmp_path, "kpi_a", {"names": np.array([{"a": 1}], object), "off": np.array([0, 1])})
    (tmp_path / "detection/kpi_b.npz").write_bytes(b"not an archive")
    for name in ("kpi_a", "kpi_b"):
        with pytest.raises(DatasetError, match="is not laid out"):
            load_set(tmp_path, name)
