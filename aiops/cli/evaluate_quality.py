"""The `quality` action of `aiops evaluate`: measure, with progress on stderr, and print."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from aiops.cli.evaluate_view import quality_table
from aiops.cli.exit_codes import ExitCode
from aiops.cli.terminal import complain, printable, say_json, show
from aiops.config import Config
from aiops.evaluate.arrays import DEFAULT
from aiops.evaluate.contenders import Contender, our_detector, rivals
from aiops.evaluate.datasets import Dataset, load_set, set_names
from aiops.evaluate.quality import Advance, QualityRow, count_rows, measure


def run_action(args: argparse.Namespace, config: Config) -> int:
    """Print the table, or JSON.

    Raises
    ------
    DatasetError
        When a set is missing or cannot be read.
    """
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
