"""From counts of who is overdue to which groups are absent, and how: columns over groups."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.config import AbsenceConfig
from aiops.detect.absence_groups import FREE, AbsenceGroups
from aiops.detect.absence_slots import REPLACED_SPAN_MS
from aiops.detect.kernels import absence as layout
from aiops.domain.absence import AbsenceReason
from aiops.domain.samples import I32, I64, U8

REASONS = (
    AbsenceReason.SILENT,
    AbsenceReason.ENDED,
    AbsenceReason.LATE,
    AbsenceReason.PARTIAL,
)
NONE, SILENT, ENDED, LATE, PARTIAL = range(5)
"""Codes of verdicts: 0, or 1 + the index into `REASONS`."""

WHOLE_RATIO_MIN = 0.5
"""Chosen: where nothing at all comes, half of the series overdue say that the slower rest is not
merely resting."""

MOST_RATIO_MIN = 0.75
"""Chosen: a source of which a quarter still comes is not the same as one that fell silent."""

SURVIVORS_RATIO_MAX = 0.25
"""Chosen: what a scraper writes about a target itself (`up` and a handful) lives on when the
target dies, and is at most a quarter of any but the smallest."""

ARRIVALS_MIN = 1.0
"""Chosen: one instance that joined lately makes instances that are ended on purpose ordinary."""

RETURNS_MIN = 2.5
"""Chosen: what ended and came back three times within two days is a batch job."""

TAIL_RATIO = 0.022
"""Follows from the rates of `k_absence_hear`: the share of gaps beyond the high quantile."""

Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One row a group: what is to be told of it now, and whether a larger group covers it."""

    codes: U8
    is_covered: Marks
    since_ms: I64


def judge_groups(
    groups: AbsenceGroups, times: I64, tally: I64, *, config: AbsenceConfig, clock: tuple[int, int]
) -> Verdicts:
    """Return the verdict on every group.

    Parameters
    ----------
    times, tally
        int64[n_groups, ...], as the kernels filled them.
    clock
        Now, and since when we listen without a break.

    Notes
    -----
    Silent: nothing came while the next larger group was heard; or most members are overdue, two
    smaller groups or more among them. Ended: markers ended nearly all members at once, and it
    is neither replaced nor a habit. Late: half of the members. Partial: more single absences
    than are told one by one.
    """
    now_ms, listen_ms = clock
    parents = groups.parents[: groups.n_rows]
    is_used = parents != FREE
    heard_ms = times[:, layout.HEARD_MS]
    due = tally[:, layout.DUE] - tally[:, layout.PAST]
    silent = _silent(groups, times, tally, (now_ms, listen_ms, config.floor_s * 1000))
    gone = _ended(parents, tally, groups)
    ended = gone & ~_is_ordinary(groups, parents, tally, times)
    is_ripe = now_ms - np.maximum(times[:, layout.ENDED_MS], listen_ms) >= config.ended_s * 1000
    late = (due > 0) & (2 * tally[:, layout.LATE] >= due)
    latish = (due > 0) & (2 * tally[:, layout.LATISH] >= due)
    own, falling = tally[:, layout.OWN], tally[:, layout.FALLING]
    was_partial = groups.reasons[: groups.n_rows] == PARTIAL
    crowd = (own > 0) & ((falling > config.series_per_group_max) | was_partial)
    partial = crowd if config.series_per_group_max > 0 else crowd & (2 * own >= due)
    codes: U8 = np.zeros(len(parents), np.uint8)
    for code, marks in ((PARTIAL, partial), (ENDED, ended & is_ripe), (LATE, late)):
        codes[marks & is_used] = code
    codes[silent & is_used] = SILENT
    # what is about to be told of a group as a whole is not told of its parts a moment before
    is_covered = groups.below((silent | latish | gone) & is_used, itself=False)
    since_ms = np.where(codes == ENDED, times[:, layout.ENDED_MS], heard_ms)
    return Verdicts(codes, is_covered, since_ms)


def _silent(groups: AbsenceGroups, times: I64, tally: I64, clock: tuple[int, int, int]) -> Marks:
    """Tell which groups fell silent, wholly, or most of two smaller ones and more."""
    now_ms, listen_ms, floor_ms = clock
    parents, heard_ms = groups.parents[: groups.n_rows], times[:, layout.HEARD_MS]
    is_top = parents < 0
    above = np.where(is_top, 0, parents)
    clock_ms = np.where(is_top, now_ms, heard_ms[above])
    from_ms = np.where(is_top, listen_ms, groups.resumed_ms[above])
    is_still = clock_ms - np.maximum(heard_ms, from_ms) > floor_ms
    # members that fell silent long before the others say nothing of what happened now
    due, overdue = tally[:, layout.DUE] - tally[:, layout.PAST], tally[:, layout.OVERDUE]
    is_whole = is_still & (overdue >= WHOLE_RATIO_MIN * due)
    silent = (due > 0) & is_whole & ~_is_replaced(groups, parents, heard_ms)
    is_most = (due > 0) & (overdue >= MOST_RATIO_MIN * due)
    for _ in groups.names:  # from the smallest groups up
        n_silent = np.bincount(above[silent & ~is_top], minlength=len(parents))
        silent |= is_most & (n_silent >= 2)
    return silent


def _ended(parents: I32, tally: I64, groups: AbsenceGroups) -> Marks:
    """Tell which groups were ended: wholly, or but for a few survivors.

    A group of groups with survivors takes two ended ones; else the one that ended is told.
    """
    together, due = tally[:, layout.TOGETHER], tally[:, layout.DUE] - tally[:, layout.PAST]
    most = (together > 0) & (due <= SURVIVORS_RATIO_MAX * (due + together))
    above, is_below = np.where(parents < 0, 0, parents), parents >= 0
    is_smallest = np.bincount(above[is_below], minlength=len(parents)) == 0
    gone: Marks = most & (is_smallest | (due == 0))
    for _ in groups.names:  # from the smallest groups up
        n_gone = np.bincount(above[gone & is_below], minlength=len(parents))
        gone |= most & (n_gone >= 2)
    return gone


def _is_replaced(groups: AbsenceGroups, parents: I32, since_ms: I64) -> Marks:
    """Tell which of the smallest groups had a sibling join about when they fell silent.

    The largest groups below the root are what they are called; nothing stands in for a job.
    """
    above = np.where(parents < 0, 0, parents)
    joined: Marks = groups.newborn_ms[above] >= since_ms - REPLACED_SPAN_MS
    is_older = groups.born_ms[: len(parents)] < groups.newborn_ms[above]
    return joined & is_older & (parents > 0)


def _is_ordinary(groups: AbsenceGroups, parents: I32, tally: I64, times: I64) -> Marks:
    """Tell of which groups an end by markers is no news: replaced, or a habit.

    Survivors mean that the target is still looked for, so it was not taken away on purpose.
    """
    above = np.where(parents < 0, 0, parents)
    is_whole = tally[:, layout.DUE] == tally[:, layout.PAST]
    is_usual = (groups.arrivals[above] >= ARRIVALS_MIN) & (parents > 0)
    replaced = _is_replaced(groups, parents, times[:, layout.ENDED_MS])
    is_habit = groups.returns[: len(parents)] >= RETURNS_MIN
    ordinary: Marks = is_whole & (is_usual | replaced) | is_habit
    return ordinary


def silence_score(silence_s: float, typical_s: float, high_s: float) -> float:
    """Return -log10 of the chance of such a silence, by an exponential tail of the gaps.

    The high quantile leaves 2.2 % beyond it, which the median and it make the scale of. Perfect
    rhythm is not believed: the spread is at least a quarter of the gap.
    """
    scale_s = max(high_s - typical_s, 0.25 * high_s, 1e-3) / math.log(0.5 / TAIL_RATIO)
    beyond_s = max(silence_s - high_s, 0.0)
    return beyond_s / scale_s / math.log(10.0) - math.log10(TAIL_RATIO)
