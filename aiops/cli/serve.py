"""`aiops serve`: run the service."""

import argparse
import importlib
import logging
import os
from pathlib import Path
from typing import Protocol

from aiops.config import Config
from aiops.config_file import load_config
from aiops.telemetry import log_event, setup_logging
from aiops.warm import compile_kernels

_LOG = logging.getLogger(__name__)

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


def run(args: argparse.Namespace, start: ServiceRunner | None = None) -> int:
    """Load the configuration and start the service.

    Parameters
    ----------
    start
        What to start instead of the real service, for tests.

    Raises
    ------
    ConfigError
        With every problem in file, environment and flags.
    """
    given = {path: getattr(args, flag) for flag, path in _FLAGS.items()}
    overrides = {path: value for path, value in given.items() if value is not None}
    config = load_config(args.config, environment=os.environ, overrides=overrides)
    setup_logging(config.log.level)
    return (start or _load_service())(config, config_path=args.config)


def _load_service() -> ServiceRunner:
    """Return what runs the service, its kernels compiled.

    The module is loaded by name, since a plain import would compile every kernel (10-20 s at the
    first start ever) before anything could be said about it, and for every other command too.
    """
    compile_kernels(_tell)
    runner: ServiceRunner = importlib.import_module("aiops.app").run_service
    return runner


def _tell(name: str, number: int, total: int) -> None:
    log_event(_LOG, logging.INFO, "kernels.compiled", module=name, done=number, total=total)
