"""The score of the Numenta Anomaly Benchmark, from its published rules (arXiv 1510.03336).

The first alarm in a labelled window earns the more the earlier it comes; alarms outside cost, a
little less soon after a window. One threshold serves the whole corpus and is the best there is, as
in the benchmark itself: a score of 0 is that of a detector that never speaks, 100 a perfect one.
The detector may be run causally or not; that is for whoever quotes the figure to say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64, I64

PROBATION_RATIO, PROBATION_ROWS_MAX = 0.15, 750
"""Share of a file that is not judged, at most 15 % of 5,000 rows (NAB's probationary period)."""
SIGMOID_SLOPE, SIGMOID_END = 5.0, 3.0
OUTSIDE, PROBATION = -1, -2


@dataclass(frozen=True, slots=True)
class NabProfile:
    """Weights of a window hit, of an alarm outside, and of a window missed."""

    hit: float = 1.0
    false: float = 0.11
    miss: float = 1.0


STANDARD = NabProfile()
REWARD_LOW_FALSE_ALARMS = NabProfile(false=0.22)
REWARD_LOW_MISSES = NabProfile(miss=2.0)


@dataclass(frozen=True, slots=True)
class NabFile:
    """Number of rows, and labelled windows as (first, last) row."""

    n_rows: int
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class NabScore:
    """The normalised score, where it was reached, and what each file added.

    Parameters
    ----------
    file_losses
        What each file falls short of a perfect detector, in windows.
    """

    score: float
    threshold: float
    n_windows_hit: int
    n_windows: int
    n_false_rows: int
    file_losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Corpus:
    """All judged rows: score, gain if in alarm, window (over all files) and file."""

    scores: F64
    gains: F64
    windows: I64
    files: I64
    n_windows: int


def nab_score(
    scores: Sequence[F64], files: Sequence[NabFile], profile: NabProfile = STANDARD
) -> NabScore:
    """Return the corpus's score at its best threshold.

    Parameters
    ----------
    scores
        One array a file, high = anomalous; NaN counts as 0.
    """
    corpus = _joined(scores, files, profile)
    increments = _increments(corpus, profile)
    order = np.argsort(-corpus.scores, kind="stable")
    ranked = corpus.scores[order]
    # A threshold admits all rows of equal score, so only the last of each can be where it cuts.
    last = np.append(np.flatnonzero(np.diff(ranked) != 0), len(ranked) - 1)[: len(ranked)]
    judged = np.unique(corpus.windows[corpus.windows >= 0])
    null = -profile.miss * len(judged)
    totals = np.append(null, null + np.cumsum(increments[order])[last])
    best = int(np.argmax(totals))
    threshold = float(np.append(np.inf, ranked[last])[best])
    perfect = profile.hit * corpus.n_windows
    is_alarm = corpus.scores >= threshold
    return NabScore(
        score=100 * float(totals[best] - null) / (perfect - null) if perfect > null else math.nan,
        threshold=threshold,
        n_windows_hit=len(np.unique(corpus.windows[is_alarm & (corpus.windows >= 0)])),
        n_windows=len(judged),
        n_false_rows=int(np.count_nonzero(is_alarm & (corpus.windows == OUTSIDE))),
        file_losses=_losses(corpus, increments, is_alarm, files, profile),
    )


def probation_rows(n_rows: int) -> int:
    """Return how many first rows of a file are not judged."""
    return math.ceil(min(math.floor(PROBATION_RATIO * n_rows), PROBATION_ROWS_MAX))


def _joined(scores: Sequence[F64], files: Sequence[NabFile], profile: NabProfile) -> _Corpus:
    columns: list[tuple[F64, F64, I64, I64]] = []
    n_windows = 0
    for k, (column, file) in enumerate(zip(scores, files, strict=True)):
        if len(column) != file.n_rows:
            raise ValueError(f"file {k} has {file.n_rows} rows, but {len(column)} scores")
        gains, windows = _sweep(file, profile)
        is_judged = windows != PROBATION
        windows[windows >= 0] += n_windows
        n_windows += len(file.windows)
        owner = np.full(int(is_judged.sum()), k, np.int64)
        columns.append(
            (np.nan_to_num(column[is_judged]), gains[is_judged], windows[is_judged], owner)
        )
    if not columns:
        raise ValueError("a corpus has at least one file")
    joined = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    return _Corpus(joined[0], joined[1], joined[2], joined[3], n_windows)


def _sweep(file: NabFile, profile: NabProfile) -> tuple[F64, I64]:
    """Return what an alarm at each row is worth, and the window of each row."""
    gains = np.full(file.n_rows, -profile.false)
    windows = np.full(file.n_rows, OUTSIDE, np.int64)
    ordered = sorted(file.windows)
    earliest = float(_sigmoid(np.array(-1.0)))
    for k, (first, last) in enumerate(ordered):
        width = last - first + 1
        following = ordered[k + 1][0] if k + 1 < len(ordered) else file.n_rows
        after = np.arange(last + 1, following)
        if len(after):
            scale = max(width - 1.0, 1e-9)  # a window of one row has no width to be near to
            gains[after] = profile.false * _sigmoid((after - last) / scale)
        inside = np.arange(first, last + 1)
        gains[inside] = profile.hit * _sigmoid(-(last - inside + 1) / width) / earliest
        windows[inside] = k
    windows[: probation_rows(file.n_rows)] = PROBATION
    return gains, windows


def _sigmoid(position: npt.NDArray[np.float64]) -> F64:
    """Return 1 far before the end of a window, 0 at its end, -1 three widths after it."""
    scaled = 2.0 / (1.0 + np.exp(SIGMOID_SLOPE * np.minimum(position, 50.0))) - 1.0
    return np.where(position > SIGMOID_END, -1.0, scaled)


def _increments(corpus: _Corpus, profile: NabProfile) -> F64:
    """Return by how much each row, admitted after those of higher score, changes the total.

    Of a window only the best alarm counts, and the first undoes the cost of missing it.
    """
    increments = np.where(corpus.windows == OUTSIDE, corpus.gains, 0.0)
    order = np.argsort(-corpus.scores, kind="stable")
    ranked = corpus.windows[order]
    for window in np.unique(ranked[ranked >= 0]).tolist():
        rows = order[ranked == window]
        best = np.maximum(np.maximum.accumulate(corpus.gains[rows]), -profile.miss)
        increments[rows] = np.diff(best, prepend=-profile.miss)
    return increments


def _losses(
    corpus: _Corpus,
    increments: F64,
    is_alarm: npt.NDArray[np.bool_],
    files: Sequence[NabFile],
    profile: NabProfile,
) -> tuple[float, ...]:
    losses = []
    for k, file in enumerate(files):
        is_own = corpus.files == k
        live = len(np.unique(corpus.windows[is_own & (corpus.windows >= 0)]))
        got = -profile.miss * live + float(increments[is_own & is_alarm].sum())
        losses.append(profile.hit * len(file.windows) - got)
    return tuple(losses)
