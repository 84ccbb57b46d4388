"""Series to draw: one by its name, or those on which a detector did worst."""

from collections.abc import Iterator, Mapping

import numpy as np

from aiops.config import Config
from aiops.evaluate.arrays import score_matrix
from aiops.evaluate.datasets import Dataset, DatasetError, LabelledSeries, Machine
from aiops.evaluate.scorers.segments import segments_of

NAMES_SHOWN_MAX = 40
"""Chosen: an error that lists more names than fit a screen helps nobody."""


def find_series(dataset: Dataset, name: str) -> LabelledSeries:
    """Return a series of a set; of a machine a metric: `MACHINE/NUMBER`, from 0.

    Raises
    ------
    DatasetError
        When there is none of that name; lists what there is.
    """
    for series in dataset.series:
        if series.name == name:
            return series
    machine_name, _, number = name.rpartition("/")
    for machine in dataset.machines:
        n_metrics = machine.values.shape[1]
        if machine.name == machine_name and number.isdecimal() and int(number) < n_metrics:
            return metric_of(machine, int(number))
    names = [series.name for series in dataset.series]
    names += [f"{each.name}/0-{each.values.shape[1] - 1}" for each in dataset.machines]
    more = "" if len(names) <= NAMES_SHOWN_MAX else f" and {len(names) - NAMES_SHOWN_MAX} more"
    shown = ", ".join(names[:NAMES_SHOWN_MAX])
    raise DatasetError(f"no series {name!r} in {dataset.name}; there are {shown}{more}")


def metric_of(machine: Machine, number: int) -> LabelledSeries:
    """Return one metric of a machine, train and test rows, with the machine's labels."""
    starts, ends = segments_of(machine.labels)
    windows = tuple(zip(starts.tolist(), ends.tolist(), strict=True))
    values = np.ascontiguousarray(machine.values[:, number])
    return LabelledSeries(
        f"{machine.name}/{number}", machine.ts_ms, values, machine.labels, windows
    )


def worst_series(
    dataset: Dataset,
    losses: Mapping[tuple[str, str], float],
    k: int,
    detector: str,
    config: Config | None = None,
) -> Iterator[tuple[LabelledSeries, float]]:
    """Yield the k series, or machines, of greatest loss, worst first, with their loss.

    A machine is shown by the metric whose severity was highest, on average, in test rows that are
    labelled normal: the one most to blame for false alarms.

    Parameters
    ----------
    losses
        `QualityRow.losses` of a measurement of the set.
    """
    judged = [each for each in dataset.truths if not np.isnan(losses[dataset.name, each.name])]
    judged.sort(key=lambda each: -losses[dataset.name, each.name])
    for each in judged[:k]:
        series = each if isinstance(each, LabelledSeries) else _loudest(each, detector, config)
        yield series, losses[dataset.name, each.name]


def _loudest(machine: Machine, detector: str, config: Config | None) -> LabelledSeries:
    severity = score_matrix(machine.ts_ms, machine.values, detector, config).severity
    is_normal = ~machine.labels
    is_normal[: machine.n_train] = False
    return metric_of(machine, int(np.argmax(severity[is_normal].mean(axis=0))))
