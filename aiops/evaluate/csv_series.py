"""A series of one's own from a CSV file: columns `time` and `value`, and `label` if it has truth.

Times are epoch seconds or milliseconds, or ISO-8601 (without an offset: UTC). An empty value is an
absent sample. Labels are 0 and 1, or empty.
"""

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from aiops.evaluate.datasets import SECOND_MS, DatasetError, LabelledSeries
from aiops.evaluate.scorers.segments import segments_of

MILLISECONDS_FROM = 1e11
"""Chosen: as seconds this is the year 5138, as milliseconds 1973."""
LABELS = {"": False, "0": False, "false": False, "1": True, "true": True}


def read_csv(path: Path) -> LabelledSeries:
    """Return the series of a file.

    Raises
    ------
    DatasetError
        When it cannot be read; names line and column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(_rows(csv.DictReader(file), path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    if not rows:
        raise DatasetError(f"{path} has no rows below its header")
    ts_ms, values, labels = (np.array(column) for column in zip(*rows, strict=True))
    late = np.flatnonzero(np.diff(ts_ms) <= 0)
    if len(late):
        line = int(late[0]) + 3  # lines count from 1, the first is the header
        raise DatasetError(f"{path} line {line}: its time is not later than that of the row before")
    windows = zip(*(ends.tolist() for ends in segments_of(labels)), strict=True)
    return LabelledSeries(path.stem, ts_ms, values, labels, tuple(windows))


def parse_time(text: str) -> int:
    """Return epoch milliseconds of epoch seconds, epoch milliseconds or ISO-8601.

    Raises
    ------
    ValueError
        When it is none of these.
    """
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * SECOND_MS)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no time")
    return round(number if abs(number) >= MILLISECONDS_FROM else number * SECOND_MS)


def _rows(reader: "csv.DictReader[str]", path: Path) -> Iterator[tuple[int, float, bool]]:
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    missing = [name for name in ("time", "value") if name not in names]
    if missing:
        raise DatasetError(
            f"{path} line 1: no column {' or '.join(missing)}; the header must be time,value "
            "or time,value,label"
        )
    reader.fieldnames = names
    for row in reader:
        where = f"{path} line {reader.line_num}"
        cells = {name: (row.get(name) or "").strip() for name in ("time", "value", "label")}
        try:
            ts_ms = parse_time(cells["time"])
        except (ValueError, OverflowError) as error:
            raise DatasetError(
                f"{where}: time {cells['time']!r} is neither epoch seconds or milliseconds "
                "nor ISO-8601"
            ) from error
        yield ts_ms, _value(cells["value"], where), _label(cells["label"], where)


def _value(text: str, where: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError as error:
        raise DatasetError(f"{where}: value {text!r} is no number") from error


def _label(text: str, where: str) -> bool:
    if text.lower() not in LABELS:
        raise DatasetError(f"{where}: label {text!r} is neither 0 nor 1")
    return LABELS[text.lower()]
