"""`aiops check`: OK, or every problem of a file."""

import argparse
from pathlib import Path

from aiops.cli import check
from aiops.config_reference import yaml_page


def write(folder: Path, text: str) -> Path:
    path = folder / "aiops.yaml"
    path.write_text(text)
    return path


def run(path: Path) -> int:
    parser = argparse.ArgumentParser()
    check.add_parser(parser.add_subparsers())
    return check.run(parser.parse_args(["check", str(path)]))


def test_a_sound_file_is_ok(tmp_path, capsys):
    path = write(tmp_path, yaml_page())
    assert run(path) == 0
    assert capsys.readouterr().out == f"OK: {path}\n"


def test_every_problem_of_the_schema_is_printed_and_the_exit_code_is_2(tmp_path, capsys):
    path = write(tmp_path, "server: {listen: nowhere}\nlogg: {}")
    assert run(path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["server.listen", "logg"]


def test_the_environment_is_checked_as_serve_would_read_it(tmp_path):
    path = write(tmp_path, "")
    problems = check.check_file(path, {"AIOPS_LOG_LEVEL": "loud"})
    assert len(problems) == 1 and "AIOPS_LOG_LEVEL" in problems[0]


def test_selectors_are_parsed_wherever_they_stand(tmp_path):
    path = write(
        tmp_path,
        """
        detect:
          ignore: ['{job="a"}', 'up{', 'rate(x[5m])']
          rules:
            - {match: 'up{', challenger: gone}
          river:
            - {name: a, match: '{x=~"("}', detector: river.anomaly.HalfSpaceTrees}
        notify:
          receivers:
            - {name: a, kind: webhook, url: "http://h", match: '{severity=}'}
            - {name: b, kind: webhook, url: "http://h", match: '{}'}
        """,
    )
    problems = check.check_file(path, {})
    assert [problem.split(": ")[0] for problem in problems] == [
        "detect.ignore[1]",
        "detect.ignore[2]",
        "detect.rules[0].match",
        "detect.river[0].match",
        "notify.receivers[0].match",
        "detect.rules[0].challenger",
    ]
    assert "not a series selector" in problems[1]
    assert "illegal regex" in problems[3]


def test_river_detectors_are_built_and_tried(tmp_path):
    path = write(
        tmp_path,
        """
        detect:
          river:
            - {name: a, detector: river.anomaly.HalfSpaceTree}
            - name: b
              detector: river.preprocessing.MinMaxScaler | river.anomaly.HalfSpaceTrees
              params: {n_trees: 25, height: 8, seed: 1}
            - {name: c, detector: river.anomaly.HalfSpaceTrees, params: {trees: 25}}
        """,
    )
    first, second = check.check_file(path, {})
    assert first == (
        "detect.river[0].detector: river.anomaly.HalfSpaceTree does not exist; "
        "did you mean HalfSpaceTrees?"
    )
    assert second.startswith("detect.river[2].params: 'trees' is no parameter of HalfSpaceTrees; ")


def test_the_shipped_example_configuration_is_sound():
    assert check.check_file(Path(__file__).parents[3] / "config/aiops.yaml", {}) == ()


def test_playbooks_are_read_from_beside_the_file(tmp_path):
    (tmp_path / "bad.yaml").write_text("name: [")
    path = write(tmp_path, "remediate: {playbooks: [bad.yaml, none.yaml]}\ndetect: {ignore: ['{']}")
    problems = check.check_file(path, {})
    assert [problem.split(":")[0] for problem in problems] == [
        "detect.ignore[0]",
        str(tmp_path / "bad.yaml"),
        str(tmp_path / "none.yaml"),
    ]


def test_selectors_of_ratios_are_parsed(tmp_path):
    path = write(
        tmp_path,
        """
        derived:
          ratios:
            - {name: "shop:error_ratio", numerator: 'errors_total{', denominator: requests_total}
        """,
    )
    (problem,) = check.check_file(path, {})
    assert problem.startswith("derived.ratios[0].numerator")
