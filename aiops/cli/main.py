"""The `aiops` command: picks the command, turns its errors into messages and exit codes."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from aiops import __version__
from aiops.cli import check, demo, evaluate, incident, serve, version
from aiops.cli.api_client import UnreachableError
from aiops.cli.exit_codes import EXPLAINED, ExitCode
from aiops.cli.terminal import complain
from aiops.errors import AiopsError, ConfigError

COMMANDS: tuple[ModuleType, ...] = (serve, demo, check, incident, evaluate, version)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv
        Arguments without the program's name; None for those of the process.
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help, version or what is wrong
        return stop.code if isinstance(stop.code, int) else ExitCode.USAGE
    return run_command(args)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    codes = "\n".join(f"  {code:>3}  {text}" for code, text in EXPLAINED.items())
    parser = argparse.ArgumentParser(
        prog="aiops",
        description="Push metrics and alerts in, get explained incidents and guarded actions out.",
        epilog=f"exit codes:\n{codes}\n\n`aiops COMMAND --help` explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aiops {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        before = set(subparsers.choices)
        command.add_parser(subparsers)
        for name in set(subparsers.choices) - before:
            subparsers.choices[name].set_defaults(run=command.run)
    return parser


def run_command(args: argparse.Namespace) -> int:
    """Run the command in `args.run`; no error of any kind leaves this function."""
    try:
        return int(args.run(args))
    except AiopsError as error:
        for line in str(error).splitlines():
            complain(f"aiops: {line}")
        return _exit_code(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except Exception as error:
        complain("".join(traceback.format_exception(error)).rstrip())
        complain("aiops: internal fault; please report it with the lines above")
        return ExitCode.INTERNAL


def _exit_code(error: AiopsError) -> ExitCode:
    if isinstance(error, ConfigError):
        return ExitCode.USAGE
    return ExitCode.UNREACHABLE if isinstance(error, UnreachableError) else ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(main())
