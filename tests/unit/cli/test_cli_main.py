"""The frame of the command line: help, exit codes, and that no error escapes."""

import argparse
from pathlib import Path

import pytest

from aiops import __version__
from aiops.cli import serve
from aiops.cli.api_client import RefusedError, UnreachableError
from aiops.cli.exit_codes import EXPLAINED, ExitCode
from aiops.cli.main import COMMANDS, build_parser, main, run_command
from aiops.cli.terminal import printable
from aiops.config import Config
from aiops.errors import ConfigError, NotFoundError


def failing_with(error: BaseException) -> argparse.Namespace:
    def fail(_: argparse.Namespace) -> int:
        raise error

    return argparse.Namespace(run=fail)


def names() -> list[str]:
    return [command.__name__.rpartition(".")[2] for command in COMMANDS]


def test_help_names_every_command_and_explains_every_exit_code(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in names():
        assert f"\n    {name} " in out
    for code, text in EXPLAINED.items():
        assert f"{code:>3}  {text}" in out


@pytest.mark.parametrize("name", names())
def test_every_command_has_help(name, capsys):
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: aiops {name}")


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["serve", "--nonsense"], ["incident"]])
def test_wrong_usage_exits_2_and_says_why(argv, capsys):
    assert main(argv) == 2
    assert "error:" in capsys.readouterr().err


def test_version_flag_and_command(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"aiops {__version__}\n"
    assert main(["version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["aiops", "python", "numba", "numpy", "river"]
    assert all(line.split()[1][0].isdigit() for line in lines)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError(("a: bad", "b: worse")), ExitCode.USAGE, "aiops: a: bad\naiops: b: worse\n"),
        (UnreachableError("nobody"), ExitCode.UNREACHABLE, "aiops: nobody\n"),
        (NotFoundError("no i-1"), ExitCode.FAILED, "aiops: no i-1\n"),
        (RefusedError("no\x1b[2J"), ExitCode.FAILED, "aiops: no\\x1b[2J\n"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, ""),
    ],
)
def test_an_error_becomes_a_message_and_an_exit_code(error, code, said, capsys):
    assert run_command(failing_with(error)) == code
    assert capsys.readouterr().err == said


def test_an_internal_fault_exits_70_with_its_traceback(capsys):
    assert run_command(failing_with(ZeroDivisionError("odd"))) == 70
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and "ZeroDivisionError: odd" in err
    assert err.endswith("please report it with the lines above\n")


def test_a_configuration_that_is_not_there_exits_2(tmp_path, capsys):
    assert main(["serve", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: cannot be read" in capsys.readouterr().err


def test_serve_hands_on_the_file_overlaid_by_its_flags(tmp_path):
    path = tmp_path / "aiops.yaml"
    path.write_text("server: {listen: 'a:1'}\nlog: {level: debug}\ndata_dir: d1\n")
    started: list[tuple[Config, Path | None]] = []

    def start(config: Config, *, config_path: Path | None) -> int:
        started.append((config, config_path))
        return 7

    argv = ["serve", "--config", str(path), "--listen", "b:2", "--data-dir", "d2"]
    assert serve.run(build_parser().parse_args(argv), start) == 7
    ((config, config_path),) = started
    assert (config.server.listen, config.data_dir, config.log.level) == ("b:2", Path("d2"), "debug")
    assert config_path == path


def test_serve_needs_no_file():
    started: list[Config] = []

    def start(config: Config, *, config_path: Path | None) -> int:
        started.append(config)
        return int(config_path is not None)

    assert serve.run(build_parser().parse_args(["serve", "--log-level", "error"]), start) == 0
    assert started[0].log.level == "error"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é 日本", "plain é 日本"), ("a\tb\x00", "a\\tb\\x00"), ("\x9b31m", "\\x9b31m")],
)
def test_unprintable_characters_are_shown_as_escapes(text, shown):
    assert printable(text) == shown
