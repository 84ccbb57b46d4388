"""`aiops evaluate`: tables, JSON and pictures, and what it says when there is nothing to show."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from aiops.cli import evaluate
from aiops.cli.evaluate_view import HEADERS
from aiops.cli.exit_codes import ExitCode
from aiops.cli.main import main
from aiops.evaluate.arrays import DEFAULT
from tests.unit.evaluate.labelled_data import write_all, write_univariate

ROOT = Path(__file__).parents[3]


def small_data(folder):
    return str(write_all(folder))


def test_the_table_has_a_row_for_ours_and_each_rival(tmp_path, capsys):
    data = str(write_univariate(tmp_path, "kpi_small"))
    assert main(["evaluate", "quality", "--data", data]) == ExitCode.OK
    captured = capsys.readouterr()
    for name in (
        *HEADERS,
        "default severity",
        "default alert",
        "EWMA z",
        "SPOT",
        "HalfSpaceTrees *",
    ):
        assert name in captured.out
    assert "* measured on a part: first 20,000 rows" in captured.out
    assert "measuring River HalfSpaceTrees" in captured.err


def test_json_has_every_family_that_was_measured(tmp_path, capsys):
    data = small_data(tmp_path)
    assert main(["evaluate", "quality", "--data", data, "--no-rivals", "--json"]) == ExitCode.OK
    found = orjson.loads(capsys.readouterr().out)
    assert found["sets"] == ["asd_small", "kpi_small", "nab_small", "smd_small"]
    severity, alert = found["detectors"]
    assert alert["detector"] == "default alert"
    assert {"kpi_event_f1", "nab_standard", "asd_vus_pr", "smd_vus_pr", "ratio_at_1e-3"} <= set(
        severity
    )


def test_only_the_sets_asked_for_are_measured(tmp_path, capsys):
    arguments = ["evaluate", "quality", "--data", small_data(tmp_path), "--no-rivals"]
    assert main([*arguments, "--sets", "nab_small"]) == ExitCode.OK
    row = next(x for x in capsys.readouterr().out.splitlines() if "default severity" in x)
    cells = [cell.strip() for cell in row.split("│")]
    assert cells[2] == "-" and float(cells[3]) > 0 and cells[4:6] == ["-", "-"]


def test_a_river_detector_joins_the_table(tmp_path, capsys):
    data = str(write_univariate(tmp_path, "kpi_small"))
    arguments = ["evaluate", "quality", "--data", data, "--no-rivals"]
    assert main([*arguments, "--detector", "river.anomaly.LocalOutlierFactor"]) == ExitCode.OK
    assert "river.anomaly.LocalOutlierFactor severity *" in capsys.readouterr().out


def test_missing_data_is_told_with_the_remedy(tmp_path, capsys):
    assert main(["evaluate", "quality", "--data", str(tmp_path)]) == ExitCode.FAILED
    assert "no labelled sets in" in capsys.readouterr().err


def test_the_data_folder_comes_from_the_environment(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("AIOPS_DATA", str(tmp_path / "from-variable"))
    assert main(["evaluate", "quality"]) == ExitCode.FAILED
    assert "from-variable" in capsys.readouterr().err


def test_without_a_variable_the_data_is_beside_the_working_directory(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("AIOPS_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "quality"]) == ExitCode.FAILED
    assert "../shared/data" in capsys.readouterr().err


def test_a_series_of_a_set_is_drawn(tmp_path, capsys):
    data, out = small_data(tmp_path), tmp_path / "a.png"
    arguments = ["evaluate", "plot", "--data", data, "--set", "smd_small", "--out", str(out)]
    assert main([*arguments, "--series", "machine-1/1", "--rows", "600:"]) == ExitCode.OK
    assert out.stat().st_size > 1000
    assert capsys.readouterr().out == f"{out}: 1,000 rows scored\n"


def test_a_csv_file_is_drawn(tmp_path):
    csv, out = tmp_path / "mine.csv", tmp_path / "a.svg"
    csv.write_text("time,value\n" + "".join(f"{60 * k},{k % 7}\n" for k in range(100)))
    assert main(["evaluate", "plot", str(csv), "--out", str(out)]) == ExitCode.OK
    assert out.read_text().startswith("<?xml")


@pytest.mark.parametrize("name", ["kpi_small", "nab_small", "asd_small"])
def test_the_worst_of_a_set_are_drawn_into_a_folder(tmp_path, name):
    data, out = small_data(tmp_path), tmp_path / "worst"
    arguments = ["evaluate", "plot", "--data", data, "--set", name, "--out", str(out)]
    assert main([*arguments, "--worst", "2"]) == ExitCode.OK
    names = sorted(path.name for path in out.iterdir())
    assert [name[:3] for name in names] == (["01-"] if name == "asd_small" else ["01-", "02-"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--set", "kpi_small"],
        ["--series", "a"],
        ["a.csv", "--set", "kpi_small"],
        ["--set", "kpi_small", "--series", "a", "--worst", "2"],
        ["--set", "kpi_small", "--worst", "0"],
        ["--set", "kpi_small", "--series", "a", "--rows", "5"],
    ],
)
def test_what_to_draw_must_be_said_once(tmp_path, arguments):
    data, out = small_data(tmp_path), str(tmp_path / "a.png")
    found = main(["evaluate", "plot", "--data", data, "--out", out, *arguments])
    assert found == ExitCode.USAGE


def test_names_from_a_set_do_not_choose_the_file(tmp_path):
    data = write_univariate(tmp_path, "kpi_small", n_series=1)
    out = tmp_path / "worst"
    arguments = ["evaluate", "plot", "--data", str(data), "--set", "kpi_small", "--out", str(out)]
    assert main([*arguments, "--worst", "1"]) == ExitCode.OK
    assert [path.name for path in out.iterdir()] == ["01-series-0.png"]


def test_a_set_that_does_not_exist_is_an_error_with_the_names_of_those_that_do(tmp_path, capsys):
    arguments = ["evaluate", "quality", "--data", small_data(tmp_path), "--sets", "kpi_other"]
    assert main(arguments) == ExitCode.FAILED
    assert "no set 'kpi_other'; there are asd_small" in capsys.readouterr().err


def test_the_command_line_starts_without_the_detectors():
    code = (
        "import sys, aiops.cli.main; print(sorted({'numba', 'river', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"


def test_the_default_detector_has_one_name():
    assert evaluate.DETECTOR_DEFAULT == DEFAULT
