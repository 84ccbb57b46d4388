"""Writing to people: results to stdout, complaints to stderr, nothing that drives a terminal.

Titles and labels come from outside. Control characters in them are shown as escapes, else whoever
names a series could move the cursor or recolour the screen of whoever lists incidents.
"""

import sys

import orjson
from rich.console import Console, RenderableType
from rich.text import Text

PIPED_COLUMNS = 200
"""Chosen: tables that are piped into a file or a program should not be folded at 80."""


def show(what: RenderableType) -> None:
    """Write a table or a styled text to stdout."""
    width = None if sys.stdout.isatty() else PIPED_COLUMNS
    Console(file=sys.stdout, width=width, highlight=False).print(what)


def say(text: str) -> None:
    """Write plain lines to stdout."""
    sys.stdout.write(printable(text, keep="\n") + "\n")


def complain(text: str) -> None:
    """Write plain lines to stderr."""
    sys.stderr.write(printable(text, keep="\n") + "\n")


def say_json(data: object) -> None:
    """Write indented JSON to stdout; its encoder escapes control characters."""
    sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() + "\n")


def cell(text: str, style: str = "") -> Text:
    """Return text from outside as a table cell, without markup and control characters."""
    return Text(printable(text), style=style)


def printable(text: str, *, keep: str = "") -> str:
    """Return text with everything that is not printable, `keep` apart, as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )
