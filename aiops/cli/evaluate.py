"""`aiops evaluate`: how good is the detector on labelled series, in figures and in pictures."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from aiops.cli import evaluate_plot
from aiops.cli.evaluate_view import quality_table
from aiops.cli.exit_codes import ExitCode
from aiops.cli.terminal import complain, printable, say_json, show
from aiops.config import Config
from aiops.config_file import load_config
from aiops.evaluate.arrays import DEFAULT
from aiops.evaluate.contenders import Contender, our_detector, rivals
from aiops.evaluate.datasets import Dataset, load_set, set_names
from aiops.evaluate.quality import Advance, QualityRow, count_rows, measure

DATA_VARIABLE = "AIOPS_DATA"
DATA_DEFAULT = "../shared/data"


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
    quality.add_argument("--sets", nargs="+", metavar="SET", help="only these sets (default: all)")
    quality.add_argument("--json", action="store_true", help="print JSON instead of a table")
    quality.add_argument("--no-rivals", action="store_true", help="measure no rivals")
    plot = actions.add_parser(
        "plot",
        help="draw a series with band, score and labels",
        description="Draws a series of a set, the worst ones of a set, or a CSV file with a header "
        "time,value or time,value,label (times: epoch s or ms, or ISO-8601).",
    )
    _add_shared(plot)
    evaluate_plot.add_arguments(plot)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get(DATA_VARIABLE) or DATA_DEFAULT),
        help=f"folder that holds detection/*.npz (${DATA_VARIABLE}, else {DATA_DEFAULT})",
    )
    parser.add_argument(
        "--detector",
        default=DEFAULT,
        help="default, a rule of detect.river, or a path as river.anomaly.HalfSpaceTrees",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration of the detector")


def run(args: argparse.Namespace) -> int:
    """Run the action that was asked for.

    Raises
    ------
    DatasetError, PlotError
        When there is nothing to measure or draw, or no way to.
    """
    config = _config(args.config)
    if args.action == "plot":
        return evaluate_plot.run_plot(args, config)
    names = args.sets or set_names(args.data)
    datasets = [load_set(args.data, name) for name in names]
    ours = [our_detector(config=config)]
    if args.detector != DEFAULT:
        ours.append(our_detector(args.detector, config))
    contenders = (*ours, *(() if args.no_rivals else rivals()))
    rows = _measured(contenders, datasets)
    if args.json:
        say_json({"sets": list(names), "detectors": [row.as_record() for row in rows]})
    else:
        show(quality_table(rows, names))
    return ExitCode.OK


def _config(path: Path | None) -> Config:
    return Config() if path is None else load_config(path, environment=os.environ, overrides={})


def _measured(contenders: Sequence[Contender], datasets: Sequence[Dataset]) -> list[QualityRow]:
    rows: list[QualityRow] = []
    total = sum(count_rows(contender, datasets) for contender in contenders)
    with _progress(total) as announce:
        for contender in contenders:
            rows += measure(contender, datasets, announce(contender.names[0]))
    return rows


@contextmanager
def _progress(total_rows: int) -> Iterator[Callable[[str], Advance]]:
    """Show on stderr how far the work is; a line a detector where there is no terminal.

    Slow detectors take most of the time, so the bar, which counts rows, hurries and then waits.
    """
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _line_announcer
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("loading", total=total_rows)

        def announce(name: str) -> Advance:
            def advance(what: str, n_rows: int) -> None:
                text = printable(f"{name}: {what}").replace("[", r"\[")
                progress.update(task, advance=n_rows, description=text)

            return advance

        yield announce


def _line_announcer(name: str) -> Advance:
    complain(f"{time.strftime('%H:%M:%S')} measuring {name}")
    return lambda _what, _n_rows: None
