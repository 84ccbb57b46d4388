"""The `plot` action of `aiops evaluate`: which pictures to draw, and where to."""

import argparse
import re
from pathlib import Path

import numpy as np

from aiops.cli.exit_codes import ExitCode
from aiops.cli.terminal import say
from aiops.config import Config
from aiops.errors import ConfigError
from aiops.evaluate.arrays import score_array
from aiops.evaluate.contenders import our_detector
from aiops.evaluate.csv_series import read_csv
from aiops.evaluate.datasets import Dataset, LabelledSeries, load_set
from aiops.evaluate.pick import find_series, worst_series
from aiops.evaluate.plot import Picture, PlotError, draw
from aiops.evaluate.quality import QualityRow, measure


def run_action(args: argparse.Namespace, config: Config) -> int:
    """Draw what was asked for and say where it is.

    Raises
    ------
    ConfigError
        When the arguments do not say what to draw.
    DatasetError, PlotError
        When it cannot be read or drawn.
    """
    _check(args)
    if args.worst is not None:
        return _draw_worst(args, config)
    series = _series(args)
    _draw(args, config, series, series.name, args.out, level=None)
    return ExitCode.OK


def _check(args: argparse.Namespace) -> None:
    asked = [args.csv is not None, args.series is not None, args.worst is not None]
    if sum(asked) != 1 or (args.csv is None) != (args.set is not None):
        raise ConfigError(("give a CSV file, or --set SET with --series NAME or --worst K",))
    if args.worst is not None and args.worst < 1:
        raise ConfigError(("--worst must be 1 or more",))


def _series(args: argparse.Namespace) -> LabelledSeries:
    if args.csv is not None:
        return read_csv(args.csv)
    return find_series(load_set(args.data, args.set), args.series)


def _draw_worst(args: argparse.Namespace, config: Config) -> int:
    dataset = load_set(args.data, args.set)
    contender = our_detector(args.detector, config)
    severity, alert = measure(contender, [dataset])
    row = severity if alert.nab is None else alert  # NAB asks when somebody should be told
    if contender.subset is not None:
        dataset = contender.subset.of(dataset)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlotError(f"--out {args.out} must be a folder: {error}") from error
    worst = worst_series(dataset, row.losses, args.worst, args.detector, config)
    for k, (series, loss) in enumerate(worst, 1):
        path = args.out / f"{k:02}-{re.sub(r'[^A-Za-z0-9._-]+', '_', series.name)}.png"
        title = f"{series.name} ({loss_text(dataset, loss)})"
        _draw(args, config, series, title, path, level=_level(dataset, row))
    return ExitCode.OK


def loss_text(dataset: Dataset, loss: float) -> str:
    """Return what a loss means in words."""
    if dataset.family == "kpi":
        return f"{loss:.0f} events missed or falsely alarmed"
    if dataset.family == "nab":
        return f"{loss:.2f} windows short of perfect"
    return f"VUS-PR of the machine {1 - loss:.3f}"


def _level(dataset: Dataset, row: QualityRow) -> float | None:
    """Return the threshold by which the set's errors were counted, if there was one."""
    judged = row.kpi_event if dataset.family == "kpi" else row.nab
    return judged.threshold if judged else None


def _draw(
    args: argparse.Namespace,
    config: Config,
    series: LabelledSeries,
    title: str,
    path: Path,
    *,
    level: float | None,
) -> None:
    scores = score_array(series.ts_ms, series.values, args.detector, config)
    picture = Picture(title, series, scores, level)
    draw(picture if args.rows is None else picture.rows(*args.rows), path)
    say(f"{path}: {np.count_nonzero(~np.isnan(series.values)):,} rows scored")
