"""From a rule in the configuration to a River detector, or to what is wrong with the rule.

In: dotted paths and parameters. Out: a fresh detector, tried on some samples. Nothing is run that
is not part of River.
"""

import difflib
import importlib
import inspect
from collections.abc import Iterator, Sequence
from typing import cast

from river import anomaly, base, compose

from aiops.config import RiverRule
from aiops.errors import ConfigError

RATIOS = (anomaly.HalfSpaceTrees, anomaly.GaussianScorer)
"""Detectors whose scores end at 1, as one less a probability or a share of mass does."""

TRIAL = (0.0, 1.0, -1.5, 1e6, 0.0)
"""Chosen: values of all kinds; what raises on one of them would do so in the service."""

Params = dict[str, int | float | str | bool]


class ValueDetector(base.AnomalyDetector):
    """A supervised anomaly detector, such as `GaussianScorer`, whose target is the sample's value.

    Parameters
    ----------
    detector
        What judges the value; the features, of which it is the only one, are given as well.
    """

    def __init__(self, detector: base.SupervisedAnomalyDetector) -> None:
        self.detector = detector

    def score_one(self, x: dict[base.typing.FeatureName, float]) -> float:
        """Return the score of the value."""
        (value,) = x.values()
        return self.detector.score_one(x, value)

    def learn_one(self, x: dict[base.typing.FeatureName, float]) -> None:
        """Learn the value."""
        (value,) = x.values()
        self.detector.learn_one(x, value)


class _RuleError(Exception):
    """What is wrong with a rule: the setting, and a sentence that begins with its value."""

    def __init__(self, setting: str, text: str) -> None:
        super().__init__(f"{setting}: {text}")


def build_detector(rule: RiverRule) -> base.AnomalyDetector:
    """Return a fresh detector as a rule names it: one class, or a pipeline of them.

    `river.preprocessing.StandardScaler | river.anomaly.HalfSpaceTrees` is a pipeline; `params` go
    to its last step, and those as `StandardScaler.with_std` to the step of that name.

    Raises
    ------
    ConfigError
        When a path is no River estimator, the last step is no anomaly detector, a constructor
        refuses its parameters, or the detector fails on a plain sample.
    """
    try:
        return _built(rule)
    except _RuleError as error:
        raise ConfigError((f"detect.river[{rule.name}].{error}",)) from error


def river_problems(rules: Sequence[RiverRule]) -> Iterator[str]:
    """Yield one line for each rule of which no detector can be made."""
    for n, rule in enumerate(rules):
        try:
            _built(rule)
        except _RuleError as error:
            yield f"detect.river[{n}].{error}"


def answers_ratio(detector: base.AnomalyDetector) -> bool:
    """Tell whether the scores of a detector, or of the last step of a pipeline, end at 1."""
    last: object = detector
    if isinstance(detector, compose.Pipeline):
        last = list(detector.steps.values())[-1]
    return isinstance(last.detector if isinstance(last, ValueDetector) else last, RATIOS)


def _built(rule: RiverRule) -> base.AnomalyDetector:
    classes = [_resolve(path.strip()) for path in rule.detector.split("|")]
    *before, last = _with_params(classes, rule.params)
    strange = [type(step).__name__ for step in before if not isinstance(step, base.Transformer)]
    if strange:
        raise _fault(f"{strange[0]} is no transformer; only the last step may be a detector")
    detector = _judging(last, is_alone=not before)
    if before:
        # A pipeline counts as what its last step is; River's own isinstance says the same.
        detector = cast("base.AnomalyDetector", compose.Pipeline(*before, detector))
    _try(detector.clone(), rule)
    return detector


def _judging(last: base.Estimator, *, is_alone: bool) -> base.AnomalyDetector:
    if isinstance(last, base.AnomalyDetector):
        return last
    name = type(last).__name__
    if not isinstance(last, base.SupervisedAnomalyDetector):
        raise _fault(f"{name} is no anomaly detector; end in one, such as HalfSpaceTrees")
    if not is_alone:
        raise _fault(f"{name} judges the value itself, whatever steps come before; name it alone")
    return ValueDetector(last)


def _resolve(path: str) -> type[base.Estimator]:
    module_path, _, name = path.rpartition(".")
    if module_path.split(".")[0] != "river":
        raise _fault(f"{path} is not part of river")
    try:
        module = importlib.import_module(module_path)
    except ImportError as error:
        raise _fault(f"{path} does not exist, nor does {module_path}") from error
    found = getattr(module, name, None)
    if found is None:
        raise _fault(f"{path} does not exist{_hint(name, vars(module))}")
    if not (isinstance(found, type) and issubclass(found, base.Estimator)):
        raise _fault(f"{path} is no River estimator")
    if inspect.isabstract(found):
        raise _fault(f"{path} is only the base of others; name one of them")
    return found


def _with_params(classes: Sequence[type[base.Estimator]], params: Params) -> list[base.Estimator]:
    """Return an estimator of each class, made with those parameters that are meant for it."""
    names = [cls.__name__ for cls in classes]
    given: list[Params] = [{} for _ in classes]
    for key, value in params.items():
        step, _, name = key.rpartition(".")
        if step and step not in names:
            raise _RuleError("params", f"{key!r}: no step is called {step}{_hint(step, names)}")
        given[names.index(step) if step else -1][name] = value
    return [_made(cls, own) for cls, own in zip(classes, given, strict=True)]


def _made(cls: type[base.Estimator], params: Params) -> base.Estimator:
    known = inspect.signature(cls).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in known.values())
    for name in params if not takes_any else ():
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise _RuleError("params", f"{name!r} is no parameter of {cls.__name__}; {takes}")
    needed = [each.name for each in known.values() if _is_needed(each) and each.name not in params]
    if needed:
        raise _RuleError("params", f"{cls.__name__} needs {', '.join(needed)} as well")
    try:
        return cls(**params)
    except Exception as error:  # a plug-in: whatever it raises is told
        text = f"{cls.__name__} refused its parameters {params}: {error!r}"
        raise _RuleError("params", text) from error


def _is_needed(parameter: inspect.Parameter) -> bool:
    is_named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return is_named and parameter.default is parameter.empty


def _try(detector: base.AnomalyDetector, rule: RiverRule) -> None:
    """Let a detector score and learn some samples; many look at their parameters only then."""
    try:
        for value in TRIAL:
            x: dict[base.typing.FeatureName, float] = {rule.feature: value}
            float(detector.score_one(x))
            detector.learn_one(x)
    except Exception as error:  # a plug-in: whatever it raises is told
        wrong = "params" if rule.params else "detector"
        text = f"{rule.params or rule.detector!r}: fails on a plain sample: {error!r}"
        raise _RuleError(wrong, text) from error


def _fault(text: str) -> _RuleError:
    return _RuleError("detector", text)


def _hint(name: str, known: Sequence[str] | dict[str, object]) -> str:
    found = difflib.get_close_matches(name, [each for each in known if each[0] != "_"], n=1)
    return f"; did you mean {found[0]}?" if found else ""
