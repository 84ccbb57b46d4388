"""`aiops serve`: run the service."""

import argparse
import os
from pathlib import Path
from typing import Protocol

from aiops.app import run_service
from aiops.config import Config
from aiops.config_file import load_config

_FLAGS = {"listen": "server.listen", "data_dir": "data_dir", "log_level": "log.level"}


class ServiceRunner(Protocol):
    """What starts the service and returns its exit code once it has stopped."""

    def __call__(self, config: Config, *, config_path: Path | None) -> int:
        """Run until told to stop."""
        ...


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its flags."""
    parser = subparsers.add_parser(
        "serve",
        help="run the service",
        description="Run the service until SIGTERM or SIGINT. Without a file every setting has "
        "its default. AIOPS_<SECTION>_<SETTING> variables override the file, flags override both.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (YAML)")
    parser.add_argument("--listen", metavar="HOST:PORT", help="overrides server.listen")
    parser.add_argument("--data-dir", metavar="DIR", help="overrides data_dir")
    parser.add_argument(
        "--log-level", choices=["debug", "info", "warning", "error"], help="overrides log.level"
    )


def run(args: argparse.Namespace, start: ServiceRunner = run_service) -> int:
    """Load the configuration and start the service.

    Raises
    ------
    ConfigError
        With every problem in file, environment and flags.
    """
    given = {path: getattr(args, flag) for flag, path in _FLAGS.items()}
    overrides = {path: value for path, value in given.items() if value is not None}
    config = load_config(args.config, environment=os.environ, overrides=overrides)
    return start(config, config_path=args.config)
