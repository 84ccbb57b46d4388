"""`aiops evaluate`: how good is the detector on labelled series, in figures and in pictures."""

import argparse
import importlib
import os
import re
from pathlib import Path
from typing import Protocol

from aiops.config import Config
from aiops.config_file import load_config

DATA_VARIABLE = "AIOPS_DATA"
DATA_DEFAULT = "../shared/data"
DETECTOR_DEFAULT = "default"


class Action(Protocol):
    """What an action does with its arguments; returns the exit code."""

    def __call__(self, args: argparse.Namespace, config: Config) -> int:
        """Run the action."""
        ...


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure and draw detection on labelled series",
        description="Scores labelled series as the service would, row by row from what came "
        "before, and compares the scores with the labels. No service is needed.",
    )
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    quality = actions.add_parser(
        "quality",
        help="a table of figures, ours beside rivals measured in the same run",
        description="Measures the default detector, and common rivals, on public labelled sets. "
        "KPI: F1 by event. NAB: its standard profile, causal. ASD, SMD: VUS-PR, mean over "
        "machines. Ratios: rows labelled normal in alarm, to nominal.",
    )
    _add_shared(quality)
    _add_quality(quality)
    plot = actions.add_parser(
        "plot",
        help="draw a series with band, score and labels",
        description="Draws a series of a set, the worst ones of a set, or a CSV file with a header "
        "time,value or time,value,label (times: epoch s or ms, or ISO-8601).",
    )
    _add_shared(plot)
    _add_plot(plot)


def run(args: argparse.Namespace) -> int:
    """Run the action that was asked for.

    Raises
    ------
    DatasetError, PlotError
        When there is nothing to measure or draw, or no way to.
    """
    config = Config()
    if args.config is not None:
        config = load_config(args.config, environment=os.environ, overrides={})
    # Detectors bring Numba and River along, a second that other commands should not pay.
    action: Action = importlib.import_module(f"aiops.cli.evaluate_{args.action}").run_action
    return action(args, config)


def row_range(text: str) -> tuple[int, int | None]:
    """Return first row and end of FROM:TO, either of which may be left out."""
    match = re.fullmatch(r"(\d*):(\d*)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be FROM:TO, not {text!r}")
    return int(match[1] or 0), int(match[2]) if match[2] else None


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get(DATA_VARIABLE) or DATA_DEFAULT),
        help=f"folder that holds detection/*.npz (${DATA_VARIABLE}, else {DATA_DEFAULT})",
    )
    parser.add_argument(
        "--detector",
        default=DETECTOR_DEFAULT,
        help="default, a rule of detect.river, or a path as river.anomaly.HalfSpaceTrees",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration of the detector")


def _add_quality(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--sets", nargs="+", metavar="SET", help="only these sets (default: all)")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--no-rivals", action="store_true", help="measure no rivals")


def _add_plot(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("csv", nargs="?", type=Path, metavar="CSV", help="file to draw instead of a set's series")
    add("--set", metavar="SET", help="labelled set, for example nab_dev")
    add("--series", metavar="NAME", help="series of the set; of machines MACHINE/METRIC_NUMBER")
    add("--worst", type=int, metavar="K", help="draw the K series of the set with most errors")
    add("--rows", type=row_range, metavar="FROM:TO", help="draw only these rows; all are scored")
    add("--out", type=Path, required=True, help="file (.png, .svg); with --worst a folder")
