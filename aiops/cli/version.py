"""`aiops version`: versions of everything that decides a result."""

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from aiops import __version__
from aiops.cli.exit_codes import ExitCode
from aiops.cli.terminal import say

LIBRARIES = ("numba", "numpy", "river")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    text = "show the version of aiops and of the libraries that decide its results"
    subparsers.add_parser("version", help=text, description=text[:1].upper() + text[1:] + ".")


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command has this shape
    """Print one line for each version."""
    rows = [("aiops", __version__), ("python", platform.python_version())]
    rows += [(name, _version_of(name)) for name in LIBRARIES]
    for name, text in rows:
        say(f"{name:<7} {text}")
    return ExitCode.OK


def _version_of(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
