"""What can be wrong with the samples themselves, as opposed to what they measure."""

from enum import StrEnum


class QualityFlag(StrEnum):
    """One thing that happened to the data of a series around an anomaly."""

    GAP = "gap"
    """Samples are missing before this one."""
    LATE = "late"
    """It arrived much later after its own time than samples of this series do."""
    RESET = "reset"
    """A counter fell."""
    DUPLICATE = "duplicate"
    """The newest sample came again, the same."""
    CONFLICT = "conflict"
    """The newest sample came again, with another value."""
    OUT_OF_ORDER = "out_of_order"
    """A sample older than the newest came, and was left out."""
    STALE = "stale"
    """The series had ended by a staleness marker and began again."""
    BACKFILL = "backfill"
    """Late samples came in faster than they were taken: somebody catches up."""
    PARTIAL = "partial"
    """A good part of the series of the same instance had no sample at that time."""
    INVALID = "invalid"
    """Samples out of the range that an operator gave as valid were left out shortly before."""


ROW_FLAGS = (
    QualityFlag.GAP,
    QualityFlag.LATE,
    QualityFlag.RESET,
    QualityFlag.DUPLICATE,
    QualityFlag.CONFLICT,
    QualityFlag.OUT_OF_ORDER,
    QualityFlag.STALE,
    QualityFlag.BACKFILL,
)
"""Flags that intake can see row by row; bit k of a row's flags is ROW_FLAGS[k]."""

FLAG_TEXTS = {
    QualityFlag.GAP: "gap before",
    QualityFlag.LATE: "late",
    QualityFlag.RESET: "counter reset",
    QualityFlag.DUPLICATE: "duplicates",
    QualityFlag.CONFLICT: "conflicting duplicates",
    QualityFlag.OUT_OF_ORDER: "out of order",
    QualityFlag.STALE: "series restarted",
    QualityFlag.BACKFILL: "back-filled",
    QualityFlag.PARTIAL: "instance only partly seen",
    QualityFlag.INVALID: "invalid values before",
}
"""How each flag reads in a sentence."""


def flag_bit(flag: QualityFlag) -> int:
    """Return the bit of a flag that rows can have."""
    return 1 << ROW_FLAGS.index(flag)


def flags_of(bits: int) -> tuple[str, ...]:
    """Return the names of the flags that are set, in the order of `ROW_FLAGS`."""
    return tuple(flag.value for flag in ROW_FLAGS if bits & flag_bit(flag))


class VetoReason(StrEnum):
    """Why the data explains an anomaly, so that nobody is told of it unless it lasts."""

    COUNTER_RESET = "counter_reset"
    """The counter fell in the very row that began it and was its peak: the rate of that row was
    made up. A restart that does harm shows in the rows after it."""
    RATE_OVER_GAP = "rate_over_gap"
    """The rate of the row that began it and was its peak is a mean over missing samples."""
    BACKFILL = "backfill"
    """Its peak came with a backlog: it was over, or goes on and then shows in live rows."""


VETO_TEXTS = {
    VetoReason.COUNTER_RESET: "the counter was reset in that very sample",
    VetoReason.RATE_OVER_GAP: "the rate is a mean over missing samples",
    VetoReason.BACKFILL: "the samples came late, as a backlog",
}
"""How each reason reads in a sentence."""
