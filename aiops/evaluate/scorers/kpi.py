"""Delay-tolerant F1 of the KPI set (AIOps Challenge 2018), by event and by row.

A labelled segment is hit if a row is in alarm within `DELAY_ROWS` rows of its start: later is too
late to help anybody. One threshold serves all series; it is chosen on the first half of each and
applied to the second halves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiops.domain.samples import F64, I64
from aiops.evaluate.scorers.segments import Labels, segments_of

DELAY_ROWS = 7
"""The challenge's own tolerance for one-minute series."""
GAP_ROWS = 30
"""Chosen: somebody paged half an hour ago need not be told again, so this counts once."""
TRAIN_RATIO = 0.5
N_CANDIDATES = 120
"""Chosen: thresholds tried, quantiles of the segments' best scores."""


@dataclass(frozen=True, slots=True)
class KpiScore:
    """F1, precision and recall on the second halves, at the threshold of the first."""

    f1: float
    precision: float
    recall: float
    threshold: float


@dataclass(frozen=True, slots=True)
class _Part:
    """One series: best timely score and length of each segment, its normal rows by place."""

    best: F64
    lengths: I64
    normal_rows: I64
    normal_scores: F64


def event_f1(scores: Sequence[F64], labels: Sequence[Labels]) -> KpiScore:
    """Return the score in which every labelled segment counts once.

    False alarms are normal rows at the threshold, at most one counted in any 30 rows.
    """
    train, test = _halves(scores, labels)
    best = np.concatenate([part.best for part in train]) if train else np.empty(0)
    if len(best) == 0:
        return _judge_events(test, np.inf)
    candidates = np.unique(np.quantile(best, np.linspace(0, 1, N_CANDIDATES)))
    tried = [(_judge_events(train, t).f1, t) for t in candidates.tolist() if t > 0]
    return _judge_events(test, max(tried)[1] if tried else np.inf)


def event_errors(scores: F64, labels: Labels, threshold: float) -> int:
    """Return the segments missed and the false alarms of one series, counted as by `event_f1`."""
    part = _part(scores, labels)
    missed = int(np.count_nonzero(part.best < threshold))
    return missed + _false_alarms(part, threshold)


def row_f1(scores: Sequence[F64], labels: Sequence[Labels]) -> KpiScore:
    """Return the challenge's own score: a segment counts with all its rows, hit or missed.

    A few very long segments decide it, and a plain moving average does well: secondary only.
    """
    train, test = _halves(scores, labels)
    return _judge_rows(test, _best_row_threshold(train))


def _halves(
    scores: Sequence[F64], labels: Sequence[Labels]
) -> tuple[tuple[_Part, ...], tuple[_Part, ...]]:
    pairs = list(zip(scores, labels, strict=True))
    cuts = [int(len(column) * TRAIN_RATIO) for column in scores]
    first = tuple(_part(s[:cut], y[:cut]) for (s, y), cut in zip(pairs, cuts, strict=True))
    second = tuple(_part(s[cut:], y[cut:]) for (s, y), cut in zip(pairs, cuts, strict=True))
    return first, second


def _part(scores: F64, labels: Labels) -> _Part:
    starts, ends = segments_of(labels)
    best = np.array(
        [
            scores[start : min(end, start + DELAY_ROWS) + 1].max()
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ],
        np.float64,
    )
    normal_rows = np.flatnonzero(~labels)
    return _Part(best, ends - starts + 1, normal_rows, scores[normal_rows])


def _judge_events(parts: Sequence[_Part], threshold: float) -> KpiScore:
    hits = sum(int(np.count_nonzero(part.best >= threshold)) for part in parts)
    n_segments = sum(len(part.best) for part in parts)
    false = sum(_false_alarms(part, threshold) for part in parts)
    return _figures(hits, n_segments - hits, false, threshold)


def _false_alarms(part: _Part, threshold: float) -> int:
    """Return the normal rows in alarm, each followed by `GAP_ROWS` rows that do not count."""
    rows = part.normal_rows[part.normal_scores >= threshold]
    following = np.searchsorted(rows, rows + GAP_ROWS, side="right").tolist()
    count, at = 0, 0
    while at < len(following):
        count += 1
        at = following[at]
    return count


def _best_row_threshold(parts: Sequence[_Part]) -> float:
    best = np.concatenate([part.best for part in parts]) if parts else np.empty(0)
    if len(best) == 0:
        return np.inf
    lengths = np.concatenate([part.lengths for part in parts])
    normal = np.sort(np.concatenate([part.normal_scores for part in parts]))
    order = np.argsort(-best)
    best, hit_rows = best[order], np.cumsum(lengths[order])
    last = np.append(np.flatnonzero(np.diff(best) != 0), len(best) - 1)
    candidates, hit_rows = best[last], hit_rows[last]
    false = len(normal) - np.searchsorted(normal, candidates, side="left")
    f1 = 2 * hit_rows / (hit_rows + false + lengths.sum())
    return float(candidates[int(np.argmax(f1))])


def _judge_rows(parts: Sequence[_Part], threshold: float) -> KpiScore:
    hits = sum(int(part.lengths[part.best >= threshold].sum()) for part in parts)
    n_rows = sum(int(part.lengths.sum()) for part in parts)
    false = sum(int(np.count_nonzero(part.normal_scores >= threshold)) for part in parts)
    return _figures(hits, n_rows - hits, false, threshold)


def _figures(hits: int, misses: int, false: int, threshold: float) -> KpiScore:
    return KpiScore(
        f1=2 * hits / max(1, 2 * hits + misses + false),
        precision=hits / max(1, hits + false),
        recall=hits / max(1, hits + misses),
        threshold=threshold,
    )
