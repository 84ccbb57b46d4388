"""The output all benchmarks share: a table for people, a JSON line for machines, a history."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import REPOSITORY

RESULTS_PATH = REPOSITORY / "benchmarks" / "RESULTS.md"

FILE_COLUMNS = 120
"""Chosen: the width of tables that go to a file; rich would fold them into 80 columns."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table in words: the first column is text, the others are figures.

    Parameters
    ----------
    header
        The heads of all columns.
    rows
        As many cells each.
    caption
        What a reader must know to judge the figures; may be empty.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


def show(result: Mapping[str, Any], sheet: Sheet, *, history: bool) -> None:
    """Print the JSON line of one record and its table; append the table to RESULTS.md if asked."""
    print_json(result)
    show_sheet(result, sheet, history=history)


def print_json(result: Mapping[str, Any]) -> None:
    """Print a record as one line to stdout."""
    print(json.dumps(result), flush=True)


def show_sheet(machine: Mapping[str, Any], sheet: Sheet, *, history: bool) -> None:
    """Print a table to stderr; append it to RESULTS.md if asked.

    Parameters
    ----------
    machine
        What `harness.describe_machine` gives; may hold more.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        console = Console(stderr=True, width=FILE_COLUMNS)
    console.print(_table(sheet))
    if history:
        append_history(machine, sheet)


def append_history(machine: Mapping[str, Any], sheet: Sheet, *, path: Path = RESULTS_PATH) -> None:
    """Append a table to the recorded results, with the command and the machine it comes from."""
    with path.open("a") as results:
        results.write("\n".join(_entry(machine, sheet)))


def _table(sheet: Sheet) -> Table:
    table = Table(title=sheet.title, caption=sheet.caption or None)
    for n, name in enumerate(sheet.header):
        table.add_column(name, justify="right" if n else "left")
    for row in sheet.rows:
        table.add_row(*row)
    return table


def _entry(machine: Mapping[str, Any], sheet: Sheet) -> Sequence[str]:
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    about = ". ".join(text for text in (sheet.title, sheet.caption) if text)
    return [
        "",
        f"## {machine['date']} commit {machine['commit']}",
        f"`{command}` on {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Python {machine['python']}, Numba {machine['numba']}, NumPy {machine['numpy']}.",
        "",
        f"{about}.",
        "",
        _line(sheet.header),
        "|---" + "|---:" * (len(sheet.header) - 1) + "|",
        *(_line(row) for row in sheet.rows),
        "",
    ]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
