"""Who takes part in a measurement: the service's detector, its rivals, and on how many rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aiops.config import Config
from aiops.domain.samples import F64, I64
from aiops.evaluate.arrays import DEFAULT, score_matrix
from aiops.evaluate.baselines import BASELINES, Baseline
from aiops.evaluate.datasets import Dataset, LabelledSeries, Machine

SEVERITY_LEVELS = (3.0, 4.0)
"""A severity is -log10 p, so this is p of 1e-3 and of 1e-4."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector and the columns of scores it gives.

    Parameters
    ----------
    names
        What each column is called in the table.
    score
        Times (n) and values (n, m) to one array (n, m) for each name.
    levels, warmup_rows
        See `Baseline`.
    subset
        What part of the data it is measured on, None for all.
    """

    names: tuple[str, ...]
    score: Callable[[I64, F64], tuple[F64, ...]]
    levels: tuple[float, float] | None
    warmup_rows: int
    subset: "Subset | None" = None


@dataclass(frozen=True, slots=True)
class Subset:
    """The first rows of each series, and metrics evenly chosen of each machine."""

    rows_max: int
    metrics_max: int

    def __str__(self) -> str:
        rows, metrics = f"{self.rows_max:,} rows", f"{self.metrics_max} metrics"
        return f"first {rows} of each series, {metrics} of each machine"

    def of(self, dataset: Dataset) -> Dataset:
        """Return that part of a set."""
        series = tuple(first_rows(each, self.rows_max) for each in dataset.series)
        machines = tuple(some_metrics(each, self.metrics_max) for each in dataset.machines)
        return Dataset(dataset.name, series, machines)


SLOW_SUBSET = Subset(rows_max=20_000, metrics_max=3)
"""Chosen: a detector of 20 us a row is done within a minute."""


def our_detector(detector: str = DEFAULT, config: Config | None = None) -> Contender:
    """Return a detector of the service, as `score_array` names it: its severity and its alert."""
    config = config or Config()

    def score(ts_ms: I64, values: F64) -> tuple[F64, F64]:
        found = score_matrix(ts_ms, values, detector, config)
        return found.severity, found.alert

    is_default = detector == DEFAULT
    return Contender(
        names=(f"{detector} severity", f"{detector} alert"),
        score=score,
        levels=SEVERITY_LEVELS,
        warmup_rows=config.detect.warmup_samples,
        subset=None if is_default else SLOW_SUBSET,
    )


def rivals() -> tuple[Contender, ...]:
    """Return the baselines."""
    return tuple(_contender(baseline) for baseline in BASELINES)


def first_rows(series: LabelledSeries, n: int) -> LabelledSeries:
    """Return the beginning of a series; windows that end later are left out."""
    windows = tuple(window for window in series.windows if window[1] < n)
    return LabelledSeries(
        series.name, series.ts_ms[:n], series.values[:n], series.labels[:n], windows
    )


def some_metrics(machine: Machine, m: int) -> Machine:
    """Return a machine with at most m of its metrics, evenly chosen."""
    n_metrics = machine.values.shape[1]
    chosen = np.unique(np.linspace(0, n_metrics - 1, min(m, n_metrics)).round().astype(int))
    return Machine(
        machine.name, machine.ts_ms, machine.values[:, chosen], machine.labels, machine.n_train
    )


def _contender(baseline: Baseline) -> Contender:
    return Contender(
        names=(baseline.name,),
        score=lambda ts_ms, values: (baseline.score(ts_ms, values),),
        levels=baseline.levels,
        warmup_rows=baseline.warmup_rows,
        subset=SLOW_SUBSET if baseline.is_slow else None,
    )
