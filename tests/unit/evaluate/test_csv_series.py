"""Series from CSV files."""

import math

import pytest

from aiops.evaluate.csv_series import parse_time, read_csv
from aiops.evaluate.datasets import DatasetError


def write(folder, text):
    path = folder / "mine.csv"
    path.write_text(text)
    return path


def test_times_values_and_labels_are_read_by_the_header(tmp_path):
    text = "Label, time,host,value\n0,100,a,1.5\n1,160,a,\n,220,a,nan\n"
    series = read_csv(write(tmp_path, text))
    assert series.name == "mine"
    assert series.ts_ms.tolist() == [100_000, 160_000, 220_000]
    assert series.values[0] == 1.5 and all(math.isnan(v) for v in series.values[1:])
    assert series.labels.tolist() == [False, True, False]
    assert series.windows == ((1, 1),)


def test_labels_may_be_missing(tmp_path):
    series = read_csv(write(tmp_path, "time,value\n1,1\n2,2\n"))
    assert series.windows == () and not series.labels.any()


@pytest.mark.parametrize(
    ("text", "ts_ms"),
    [
        ("1700000000", 1_700_000_000_000),
        ("1700000000.25", 1_700_000_000_250),
        ("1700000000250", 1_700_000_000_250),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14 22:13:20", 1_700_000_000_000),
        ("2023-11-14T23:13:20.250+01:00", 1_700_000_000_250),
        ("0", 0),
    ],
)
def test_times_are_seconds_milliseconds_or_iso(text, ts_ms):
    assert parse_time(text) == ts_ms


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("time,val\n1,2\n", "line 1: no column value; the header must be time,value"),
        ("", "line 1: no column time or value"),
        ("time,value\n", "no rows below its header"),
        ("time,value\n1,2\nx,3\n", "line 3: time 'x' is neither"),
        ("time,value\n1,2\ninf,3\n", "line 3: time 'inf'"),
        ("time,value\n1,2\n2,x\n", "line 3: value 'x' is no number"),
        ("time,value,label\n1,2,maybe\n", "line 2: label 'maybe' is neither 0 nor 1"),
        ("time,value\n1,2\n3,2\n2,2\n", "line 4: its time is not later"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(tmp_path, text, reason):
    with pytest.raises(DatasetError, match=reason):
        read_csv(write(tmp_path, text))


def test_a_missing_file_is_an_error_of_ours(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")


def test_bytes_that_are_no_text_are_an_error_of_ours(tmp_path):
    (tmp_path / "b.csv").write_bytes(b"time,value\n1,\xff\n")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_csv(tmp_path / "b.csv")
