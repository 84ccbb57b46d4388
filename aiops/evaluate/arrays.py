"""Scores of whole arrays by the very detector the service runs: the door for notebooks and tests.

In go times and values; out comes what the service would have said about each row at the time,
from the rows before it and nothing later. Nothing is learnt across calls.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from river import compose

from aiops.config import Config, DetectConfig, RiverRule
from aiops.detect.banks.river_bank import RiverBank
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.river_build import build_detector
from aiops.domain.samples import F64, I32, I64
from aiops.errors import ConfigError

DEFAULT = "default"
"""The detector every series gets."""

RIVER_PREFIX = "river."

SEED = 1
"""Of River detectors named by their path; a rule in the configuration states its own."""

BATCH_ROWS = 1_000_000
"""Chosen: the columns of so many rows take 100 MB; a bank of more series is cut into several."""

ScoreLearn = Callable[[I32, I64, F64, ScoreColumns], None]
BuildBank = Callable[[int], ScoreLearn]
"""Number of series to a fresh bank's `score_learn`."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a detector says about each row, in the shape of the values; read-only arrays.

    Parameters
    ----------
    severity
        -log10 of the probability that a normal row is as unusual: 3 is one in a thousand. 0
        during warm-up and for absent (NaN) rows.
    alert
        The same scale, for paging: high only where a disturbance is new. See `ScoreColumns`.
    p_value
        10 ** -severity.
    expected, lower, upper
        Baseline and band in the unit of the values; NaN where a row was not judged, and always
        for River detectors, which have none.
    """

    severity: F64
    alert: F64
    p_value: F64
    expected: F64
    lower: F64
    upper: F64


def score_array(
    ts_ms: npt.ArrayLike,
    values: npt.ArrayLike,
    detector: str = DEFAULT,
    config: Config | None = None,
) -> Scores:
    """Return the scores of one series, each row judged by the rows before it.

    Parameters
    ----------
    ts_ms
        Epoch milliseconds, integers, strictly increasing.
    values
        One float for each time. NaN is an absent sample; infinity counts as a huge value.
        Counters are not turned into rates: give what the detector shall read.
    detector
        "default"; the name of a rule in `config.detect.river`; or a dotted path, or pipeline of
        paths, of a River detector, such as "river.anomaly.HalfSpaceTrees". A path runs with a
        fixed seed; a rule that draws lots needs a `seed` among its parameters to be repeatable.
    config
        As for the service; None for its defaults.

    Raises
    ------
    ValueError
        When lengths or shapes do not fit, or times do not increase.
    ConfigError
        When no such detector exists.

    Examples
    --------
    >>> import numpy as np
    >>> from aiops.evaluate import score_array
    >>> values = np.random.default_rng(42).normal(100, 5, 500)
    >>> values[450:460] = 300
    >>> scores = score_array(60_000 * np.arange(500), values)
    >>> bool(scores.severity[:450].max() < 4 < scores.severity[450])
    True
    """
    column = np.asarray(values, np.float64)
    if column.ndim != 1:
        raise ValueError(f"values must have one dimension, not {column.ndim}; see score_matrix")
    found = score_matrix(ts_ms, column[:, np.newaxis], detector, config)
    names = Scores.__dataclass_fields__
    return Scores(**{name: getattr(found, name)[:, 0] for name in names})


def score_matrix(
    ts_ms: npt.ArrayLike,
    values: npt.ArrayLike,
    detector: str = DEFAULT,
    config: Config | None = None,
) -> Scores:
    """Return the scores of m series that share their times, each judged alone.

    As `score_array` would score every column, bit for bit, but in one bank of m slots.

    Parameters
    ----------
    ts_ms
        Epoch milliseconds, integers, n of them, strictly increasing.
    values
        Shape (n, m); the results have the same.
    detector, config
        See `score_array`.

    Raises
    ------
    ValueError, ConfigError
        As `score_array` does.
    """
    times = _checked_times(ts_ms)
    matrix = np.asarray(values, np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"values must have two dimensions (rows, series), not {matrix.ndim}")
    if len(times) != len(matrix):
        raise ValueError(f"{len(times)} times, but values for {len(matrix)} rows")
    build = _bank_builder(detector, (config or Config()).detect)
    blocks = [_score_block(times, block, build) for block in _blocks(matrix)]
    severity, alert, expected, half = (_joined(columns) for columns in zip(*blocks, strict=True))
    found = Scores(severity, alert, 10.0**-severity, expected, expected - half, expected + half)
    for name in Scores.__dataclass_fields__:
        getattr(found, name).setflags(write=False)
    return found


def _checked_times(ts_ms: npt.ArrayLike) -> I64:
    times = np.asarray(ts_ms)
    if times.ndim != 1:
        raise ValueError(f"ts_ms must have one dimension, not {times.ndim}")
    if len(times) and times.dtype.kind not in "iu":
        raise ValueError(f"ts_ms must be integers (epoch milliseconds), not {times.dtype}")
    times = times.astype(np.int64)
    late = np.flatnonzero(times[1:] <= times[:-1])
    if len(late):
        at = int(late[0]) + 1
        raise ValueError(
            f"ts_ms must strictly increase: row {at} ({times[at]}) is not later than "
            f"row {at - 1} ({times[at - 1]})"
        )
    return times


def _blocks(matrix: F64) -> Iterator[F64]:
    """Yield the matrix, or groups of its columns, as batches of bounded size; at least one."""
    n, m = matrix.shape
    width = max(1, BATCH_ROWS // max(n, 1))
    for first in range(0, max(m, 1), width):
        yield matrix[:, first : first + width]


def _score_block(times: I64, matrix: F64, build: BuildBank) -> tuple[F64, F64, F64, F64]:
    """Return severity, alert, expected and half of each series, one series a row."""
    n, m = matrix.shape
    out = ScoreColumns.allocate(n * m)
    slots = np.repeat(np.arange(m, dtype=np.int32), n)
    build(m)(slots, np.tile(times, m), matrix.T.ravel(), out)
    columns = (out.severities, out.alerts, out.expected, out.half)
    severity, alert, expected, half = (column.reshape(m, n) for column in columns)
    return severity, alert, expected, half


def _joined(columns: tuple[F64, ...]) -> F64:
    """Return the blocks as one array of n rows; each series stays contiguous in memory."""
    return (columns[0] if len(columns) == 1 else np.concatenate(columns)).T


def _bank_builder(detector: str, config: DetectConfig) -> BuildBank:
    if detector == DEFAULT:
        return lambda n_series: SeasonalBank(config, n_series).score_learn
    rule = _river_rule(detector, config)
    RiverBank(rule, config, 1)  # a detector that cannot be built is told before any work

    def build(n_series: int) -> ScoreLearn:
        # Bounds of the service do not apply: each column asked for is judged in full.
        bank = RiverBank(rule.model_copy(update={"series_max": n_series}), config, n_series)

        def score_learn(slots: I32, ts_ms: I64, features: F64, out: ScoreColumns) -> None:
            bank.score_learn(slots, ts_ms, features, out, rows_max=len(slots))

        return score_learn

    return build


def _river_rule(detector: str, config: DetectConfig) -> RiverRule:
    rules = {rule.name: rule for rule in config.river}
    if detector in rules:
        return rules[detector]
    names = ", ".join(rules) or "none"
    problem = (
        f"detector {detector!r} is unknown; give {DEFAULT!r}, the name of a rule in detect.river "
        f"({names}), or a path as river.anomaly.HalfSpaceTrees"
    )
    if not detector.startswith(RIVER_PREFIX):
        raise ConfigError((problem,))
    try:
        rule = RiverRule(name="evaluated", match="{}", detector=detector)
    except ValidationError as error:
        raise ConfigError((problem,)) from error
    return _seeded(rule)


def _seeded(rule: RiverRule) -> RiverRule:
    """Return the rule with a fixed seed if its detector draws lots, so that calls agree."""
    built = build_detector(rule)
    last = list(built.steps.values())[-1] if isinstance(built, compose.Pipeline) else built
    if "seed" not in inspect.signature(type(last)).parameters:
        return rule
    return rule.model_copy(update={"params": {"seed": SEED}})
