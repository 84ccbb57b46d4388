"""VUS-PR: area under the precision-recall curve, averaged over buffers around the labels.

The definition of the TSB-AD benchmark (Liu and Paparrizos, NeurIPS 2024; VUS: Paparrizos et al.,
doi:10.14778/3551793.3551830): labels grow a sloping buffer on both sides, so that an alarm some
rows early or late is worth something, and recall is scaled by the share of segments that were
noticed at all. No threshold is chosen, and no segment is filled up as point adjustment does.
"""

import numpy as np

from aiops.domain.samples import F64, I64
from aiops.evaluate.scorers.segments import Labels, segments_of

BUFFER_ROWS_MAX = 100
N_THRESHOLDS = 250
"""Both TSB-AD's defaults."""


def vus_pr(labels: Labels, scores: F64, *, buffer_rows_max: int = BUFFER_ROWS_MAX) -> float:
    """Return the mean area over buffers of 0 to `buffer_rows_max` rows; NaN without labels.

    Notes
    -----
    One pass over the buffered rows for each buffer: about 1 us a labelled row and buffer.
    """
    core = np.asarray(labels, bool)
    starts, ends = segments_of(core)
    if len(starts) == 0:
        return float("nan")
    n = len(core)
    thresholds = -np.sort(-scores)[np.linspace(0, n - 1, N_THRESHOLDS).astype(int)]
    predicted = np.searchsorted(np.sort(-scores), -thresholds, side="right").astype(float)
    # First threshold at which a row is predicted; N_THRESHOLDS stands for never.
    ranks = np.searchsorted(-thresholds, -scores, side="left")
    areas = []
    for buffer in range(buffer_rows_max + 1):
        weights = _buffered(core, starts, ends, buffer)
        hits, existence = _hits(weights, core, ranks), _existence(starts, ends, buffer, ranks)
        areas.append(_area(hits, existence, int(core.sum()), predicted))
    return float(np.mean(areas))


def _buffered(core: Labels, starts: I64, ends: I64, buffer: int) -> F64:
    """Return the labels with slopes of half the buffer on both sides of each segment."""
    weights = core.astype(float)
    n, half = len(core), buffer // 2
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        after = np.arange(end + 1, min(end + half + 1, n))
        before = np.arange(max(start - half, 0), start)
        if buffer:
            weights[after] += np.sqrt(1 - (after - end) / buffer)
            weights[before] += np.sqrt(1 - (start - before) / buffer)
    capped: F64 = np.minimum(weights, 1.0)
    return capped


def _hits(weights: F64, core: Labels, ranks: I64) -> tuple[F64, F64]:
    """Return the label weight predicted at each threshold, in all and in the buffers alone."""
    rows = np.flatnonzero(weights > 0)
    outside = rows[~core[rows]]
    return _cumulated(ranks[rows], weights[rows]), _cumulated(ranks[outside], weights[outside])


def _cumulated(ranks: I64, weights: F64) -> F64:
    sums = np.bincount(ranks, weights=weights, minlength=N_THRESHOLDS + 1)[:N_THRESHOLDS]
    cumulated: F64 = np.cumsum(sums)
    return cumulated


def _existence(starts: I64, ends: I64, buffer: int, ranks: I64) -> F64:
    """Return the share of segments, those whose buffers touch joined, noticed at each threshold."""
    half = buffer // 2
    is_new = np.append(True, ends[:-1] + half < starts[1:] - half)
    firsts = np.maximum(starts[is_new] - half, 0)
    lasts = np.minimum(ends[np.append(is_new[1:], True)] + half, len(ranks) - 1)
    noticed = [
        ranks[first : last + 1].min()
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    ]
    return _cumulated(np.array(noticed), np.ones(len(noticed))) / len(noticed)


def _area(hits: tuple[F64, F64], existence: F64, n_core: int, predicted: F64) -> float:
    predicted_weight, predicted_buffer = hits
    # TSB-AD takes the mean of the plain and the buffered number of labelled rows as their number.
    n_labelled = n_core + predicted_buffer / 2
    recall = np.minimum(predicted_weight / n_labelled, 1.0) * existence
    precision = predicted_weight / predicted
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
