"""Rules and River detectors that name each other: every fault with its path and a remedy."""

import pytest

from aiops.config import DetectConfig
from aiops.config_file import load_config
from aiops.config_links import link_problems
from aiops.errors import ConfigError

TREES = {"name": "trees", "detector": "river.anomaly.HalfSpaceTrees"}
SHADOW = {**TREES, "name": "shadow", "alarming": False}


def problems(*rules, river=(TREES, SHADOW), **detect) -> list[str]:
    config = {"rules": [{"match": "{}", **rule} for rule in rules], "river": river, **detect}
    return list(link_problems(DetectConfig.model_validate(config)))


def test_rules_that_name_what_is_there_have_no_problems():
    rules = [{"detector": "trees", "challenger": "shadow"}, {"detector": "off"}, {}]
    assert problems(*rules) == []
    assert problems(river=()) == []


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (
            {"detector": "threes"},
            "detector: 'threes' is unknown; give one of default, off, trees, shadow, or add it to "
            "detect.river",
        ),
        (
            {"detector": "shadow"},
            "detector: 'shadow' has alarming: false; name it as challenger, or set alarming to "
            "true",
        ),
        (
            {"challenger": "trees"},
            "challenger: 'trees' opens anomalies itself; set alarming: false in detect.river",
        ),
        (
            {"challenger": "shade"},
            "challenger: 'shade' is unknown; give one of shadow, or add it to detect.river",
        ),
        (
            {"warmup_samples": 30},
            "warmup_samples: 30 is less than detect.warmup_samples = 60, which holds for all; "
            "lower that one",
        ),
    ],
)
def test_what_a_rule_names_in_vain_is_told_with_its_remedy(rule, problem):
    assert problems({}, rule) == [f"detect.rules[1].{problem}"]


def test_a_challenger_without_any_candidates_says_so():
    (problem,) = problems({"challenger": "shade"}, river=())
    assert problem.endswith("unknown; no detector in detect.river has alarming: false")


def test_default_rules_are_checked_like_others():
    rule = {"match": "up", "detector": "gone"}
    (problem,) = problems(default_rules=[rule])
    assert problem.startswith("detect.default_rules[0].detector: 'gone' is unknown")


def test_names_of_river_detectors_differ_from_each_other_and_from_ours():
    found = problems(river=(TREES, TREES, {**TREES, "name": "seasonal"}))
    assert found == [
        "detect.river[1].name: 'trees' is given twice; names must differ",
        "detect.river[2].name: 'seasonal' means something else already; give another name",
    ]


def loaded(tmp_path, text: str) -> tuple[str, ...]:
    path = tmp_path / "aiops.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment={}, overrides={})
    return caught.value.problems


def test_a_file_is_told_all_faults_of_names_at_once(tmp_path):
    text = """
detect:
  rules:
    - {match: up, detector: gone}
    - {match: up, challenger: gone}
"""
    places = [problem.split(":")[0] for problem in loaded(tmp_path, text)]
    assert places == ["detect.rules[0].detector", "detect.rules[1].challenger"]


def test_faults_within_rules_are_told_all_at_once_with_their_places(tmp_path):
    text = """
detect:
  rules:
    - {match: up, valid_min: 2, valid_max: 1}
    - {match: up, threshold_below: 2, threshold_above: 2}
    - {match: up, detector: off, direction: up, deviation_min: 1}
    - {match: up, direction: sideways}
    - {match: up, threshold_above: nan}
    - {match: up, deviaton_min: 1}
    - {direction: up}
"""
    told = loaded(tmp_path, text)
    assert told[:3] == (
        "detect.rules[0]: valid_min must be below valid_max (valid_min = 2, valid_max = 1)",
        "detect.rules[1]: threshold_below must be below threshold_above "
        "(threshold_above = 2, threshold_below = 2)",
        "detect.rules[2]: direction, deviation_min change nothing, since only the built-in "
        "detector heeds that: remove it, or set detector to default "
        "(detector = 'off', direction = 'up', deviation_min = 1)",
    )
    assert told[3].startswith("detect.rules[3].direction: 'sideways' is not allowed; give one of")
    assert told[4].startswith("detect.rules[4].threshold_above: 'nan' is not allowed")
    assert "did you mean detect.rules[5].deviation_min?" in told[5]
    assert told[6].startswith("detect.rules[6].match: is missing")
