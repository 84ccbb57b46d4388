"""Which rule a label set has."""

import itertools

import pytest

from aiops.config_rules import SeriesRule
from aiops.detect import rule_match
from aiops.detect.rule_match import RuleMatch
from aiops.domain.labels import labels_from
from aiops.domain.matchers import match_all
from aiops.domain.selector import parse_selector
from aiops.errors import ConfigError

SELECTORS = (
    'up{job="a"}',
    '{__name__=~"node_.+", job!="a"}',
    '{__name__!~"node_.+|", job="b"}',
    '{__name__=~"u.", __name__!="us"}',
    '{instance="", job=~"a|b"}',
    "{}",
)
NAMES = ("up", "us", "node_load1", "node_", "")
JOBS = ("a", "b", "")
INSTANCES = ("i", "")
LABEL_SETS = [
    labels_from({k: v for k, v in zip(("__name__", "job", "instance"), values, strict=True) if v})
    for values in itertools.product(NAMES, JOBS, INSTANCES)
]


def match_of(*selectors: str) -> RuleMatch:
    return RuleMatch([(f"rules[{n}]", SeriesRule(match=s)) for n, s in enumerate(selectors)])


def plainly(selectors, labels) -> int:
    found = (n for n, s in enumerate(selectors, 1) if match_all(parse_selector(s), labels))
    return next(found, 0)


@pytest.mark.parametrize("selectors", list(itertools.permutations(SELECTORS, 3)))
def test_it_is_the_first_that_matches(selectors):
    subject = match_of(*selectors)
    for labels in (*LABEL_SETS, *LABEL_SETS):  # what is known of names serves the second time
        assert subject.number(labels) == plainly(selectors, labels)


def test_more_names_than_are_remembered_change_nothing(monkeypatch):
    monkeypatch.setattr(rule_match, "NAMES_MAX", 2)
    subject = match_of(*SELECTORS[:3])
    for labels in (*LABEL_SETS, *reversed(LABEL_SETS)):
        assert subject.number(labels) == plainly(SELECTORS[:3], labels)


def test_a_match_that_is_no_selector_is_told_with_its_place():
    with pytest.raises(ConfigError, match=r"rules\[1\]\.match: 'up\{' is not allowed"):
        match_of("up", "up{")
