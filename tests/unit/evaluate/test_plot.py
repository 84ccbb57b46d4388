"""Pictures: written where asked for, the same each time, honest about gaps and long series."""

import math
import sys

import numpy as np
import pytest

from aiops.evaluate import score_array
from aiops.evaluate.datasets import LabelledSeries
from aiops.evaluate.plot import Picture, PlotError, draw, value_range
from aiops.evaluate.plot_columns import plot_columns

START_MS = 1_700_000_000_000


def picture(n=300, *, values=None, ts_ms=None, title="cost in $ and $"):
    ts_ms = START_MS + 60_000 * np.arange(n) if ts_ms is None else ts_ms
    if values is None:
        values = np.random.default_rng(1).normal(10, 1, n)
    labels = np.zeros(n, bool)
    labels[n // 2 : n // 2 + 1] = True
    windows = ((n // 2, n // 2),) if n > 1 else ()
    series = LabelledSeries("s", ts_ms, values, labels, windows)
    return Picture(title, series, score_array(ts_ms, values), level=4.0)


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture_is_written_in_the_format_of_its_name(tmp_path, suffix, start):
    draw(picture(), tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes().startswith(start)


def test_the_same_picture_is_the_same_file(tmp_path):
    for name in ("a.svg", "b.svg"):
        draw(picture(), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(
    "values",
    [np.full(80, math.nan), np.full(80, 3.0), np.full(80, math.inf), np.array([1.0]), np.zeros(2)],
    ids=["absent", "constant", "infinite", "one row", "two rows"],
)
def test_odd_series_can_be_drawn(tmp_path, values):
    draw(picture(len(values), values=values), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_quoted_level_that_was_never_reached_is_no_line(tmp_path):
    whole = picture()
    draw(Picture(whole.title, whole.series, whole.scores, math.inf), tmp_path / "a.png")


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(PlotError, match=r"must end in \.png or \.svg"):
        draw(picture(), tmp_path / "a.pdf")


def test_a_folder_that_does_not_exist_is_an_error_of_ours(tmp_path):
    with pytest.raises(PlotError, match="cannot be written"):
        draw(picture(), tmp_path / "none/a.png")


def test_without_rows_there_is_nothing_to_draw(tmp_path):
    with pytest.raises(PlotError, match="no rows"):
        draw(picture().rows(300, None), tmp_path / "a.png")


def test_a_missing_extra_is_told_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlotError, match=r"pip install 'aiops\[plot\]'"):
        draw(picture(), tmp_path / "a.png")


def test_rows_of_a_picture_keep_their_scores_and_cut_their_windows():
    whole = picture(300)
    part = whole.rows(100, 200)
    np.testing.assert_array_equal(part.scores.severity, whole.scores.severity[100:200])
    assert part.series.ts_ms[0] == whole.series.ts_ms[100]
    assert part.series.windows == ((50, 50),)
    assert whole.rows(200, None).series.windows == ()


def test_a_long_series_keeps_its_extremes():
    values = np.random.default_rng(1).normal(10, 1, 5000)
    values[3210], values[4321] = 99.0, -99.0
    long = picture(5000, values=values)
    columns = plot_columns(long.series, long.scores, columns_max=100)
    assert len(columns.times) == 100
    assert columns.greatest.max() == 99.0 and columns.least.min() == -99.0
    assert columns.severity.max() == long.scores.severity.max()


def test_lines_break_at_gaps_and_nowhere_else():
    ts_ms = START_MS + 60_000 * np.arange(300)
    ts_ms[100:] += 3_600_000
    ts_ms[200:] += 120_000
    gapped = picture(300, ts_ms=ts_ms)
    columns = plot_columns(gapped.series, gapped.scores)
    assert np.flatnonzero(np.isnan(columns.greatest)).tolist() == [100]
    assert (np.diff(columns.times) > np.timedelta64(0)).all()


def test_the_axis_is_that_of_the_finite_values():
    assert value_range(np.array([math.nan, 1.0, 3.0, math.inf])) == pytest.approx((0.7, 3.3))
    assert value_range(np.array([math.nan])) == (-1.0, 1.0)
    low, high = value_range(np.array([5.0, 5.0]))
    assert low < 5.0 < high
