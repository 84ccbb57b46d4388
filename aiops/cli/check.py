"""`aiops check`: find every fault in a configuration without starting anything."""

import argparse
import importlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from aiops.cli.exit_codes import ExitCode
from aiops.cli.terminal import complain, say
from aiops.config import Config
from aiops.config_file import read_config
from aiops.config_links import link_problems, placed_rules
from aiops.domain.selector import parse_selector
from aiops.errors import ConfigError, QueryError
from aiops.remediate.load import load_playbooks


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "check",
        help="check a configuration file",
        description="Check a configuration file as `aiops serve` would read it, AIOPS_ variables "
        "included, with its selectors, River detectors and playbooks. Prints OK or every problem.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="configuration (YAML)")


def run(args: argparse.Namespace) -> int:
    """Print OK, or one line for each problem."""
    problems = check_file(args.file, os.environ)
    if not problems:
        say(f"OK: {args.file}")
        return ExitCode.OK
    for problem in problems:
        complain(problem)
    return ExitCode.USAGE


def check_file(path: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return every problem of a configuration file, none when it is usable."""
    try:
        config = read_config(path, environment=environment, overrides={})
    except ConfigError as error:
        return error.problems
    return (
        *_selector_problems(config),
        *link_problems(config.detect),
        *_river_problems(config),
        *_playbook_problems(config),
    )


def _selector_problems(config: Config) -> Iterator[str]:
    for place, text in _selectors(config):
        try:
            parse_selector(text)
        except QueryError as error:
            yield f'{place}: {text!r} is not allowed; give a selector, {{job="node"}}: {error}'


def _river_problems(config: Config) -> Iterator[str]:
    if config.detect.river:
        # Loaded by name: River takes a second to import, which other configurations need not pay.
        module = importlib.import_module("aiops.detect.river_build")
        yield from module.river_problems(config.detect.river)


def _playbook_problems(config: Config) -> tuple[str, ...]:
    try:
        load_playbooks(config.remediate.playbooks)
    except ConfigError as error:
        return error.problems
    return ()


def _selectors(config: Config) -> Iterator[tuple[str, str]]:
    """Yield every selector of a configuration with its place."""
    for n, text in enumerate(config.detect.ignore):
        yield f"detect.ignore[{n}]", text
    for place, series_rule in placed_rules(config.detect):
        yield f"{place}.match", series_rule.match
    for n, rule in enumerate(config.detect.river):
        if rule.match is not None:
            yield f"detect.river[{n}].match", rule.match
    for n, budget in enumerate(config.alarms.budgets):
        yield f"alarms.budgets[{n}].match", budget.match
    for n, ratio in enumerate(config.derived.ratios):
        yield f"derived.ratios[{n}].numerator", ratio.numerator
        yield f"derived.ratios[{n}].denominator", ratio.denominator
    for n, receiver in enumerate(config.notify.receivers):
        yield f"notify.receivers[{n}].match", receiver.match
