"""Settings that name each other: whether what is named exists and is of use there."""

from collections.abc import Iterator

from aiops.config import DetectConfig
from aiops.config_rules import DEFAULT, OFF, SeriesRule

RESERVED_NAMES = frozenset({DEFAULT, OFF, "seasonal", "group", "peers", "absence", "forecast"})
"""Detectors of ours, and the words of `detect.rules[].detector`."""


def link_problems(detect: DetectConfig) -> Iterator[str]:
    """Yield one line for each fault of rules and River detectors that name each other."""
    yield from _name_problems(detect)
    for place, rule in placed_rules(detect):
        yield from _detector_problems(place, rule, detect)
        if rule.challenger is not None:
            yield from _challenger_problems(place, rule.challenger, detect)
        least = detect.warmup_samples
        if rule.warmup_samples is not None and rule.warmup_samples < least:
            yield (
                f"{place}.warmup_samples: {rule.warmup_samples} is less than "
                f"detect.warmup_samples = {least}, which holds for all; lower that one"
            )


def placed_rules(detect: DetectConfig) -> Iterator[tuple[str, SeriesRule]]:
    """Yield the rules in the order in which they count, each with its path."""
    for n, rule in enumerate(detect.rules):
        yield f"detect.rules[{n}]", rule
    for n, rule in enumerate(detect.default_rules):
        yield f"detect.default_rules[{n}]", rule


def _name_problems(detect: DetectConfig) -> Iterator[str]:
    seen: set[str] = set()
    for n, rule in enumerate(detect.river):
        place = f"detect.river[{n}].name: {rule.name!r}"
        if rule.name in RESERVED_NAMES:
            yield f"{place} means something else already; give another name"
        if rule.name in seen:
            yield f"{place} is given twice; names must differ"
        seen.add(rule.name)


def _detector_problems(place: str, rule: SeriesRule, detect: DetectConfig) -> Iterator[str]:
    if rule.detector in (DEFAULT, OFF):
        return
    alarming = {river.name: river.alarming for river in detect.river}
    shown = f"{place}.detector: {rule.detector!r}"
    if rule.detector not in alarming:
        yield f"{shown} is unknown; {_known(alarming, DEFAULT, OFF)}"
    elif not alarming[rule.detector]:
        yield f"{shown} has alarming: false; name it as challenger, or set alarming to true"


def _challenger_problems(place: str, name: str, detect: DetectConfig) -> Iterator[str]:
    alarming = {river.name: river.alarming for river in detect.river}
    shown = f"{place}.challenger: {name!r}"
    if name not in alarming:
        challengers = {n: False for n, is_alarming in alarming.items() if not is_alarming}
        yield f"{shown} is unknown; {_known(challengers)}"
    elif alarming[name]:
        yield f"{shown} opens anomalies itself; set alarming: false in detect.river"


def _known(names: dict[str, bool], *words: str) -> str:
    known = [*words, *names]
    if not known:
        return "no detector in detect.river has alarming: false"
    return f"give one of {', '.join(known)}, or add it to detect.river"
