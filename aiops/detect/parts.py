"""What made up a score: the eight bytes that travel with each row, read as words."""

from aiops.detect.kernels.rules import ABOVE_BIT, BELOW_BIT, INVALID_BIT

STREAMS = ("residual", "shift", "spread", "level", "novelty")
"""Streams of a score by their byte, from the lowest (`ScoreColumns.parts`)."""

SEASONS = ("", "day", "week")
"""Seasons by the number in the low half of byte 5; rules have the high one."""

STEPS_PER_UNIT = 16
"""`ScoreColumns.parts`: a byte is 16 times the score of its stream."""

PART_MIN = 1.0
"""Chosen: below one in ten a stream had nothing to say."""

_SEASON_BYTE = 5
_OWN_FLAGS_BYTE = 6
_WINDOW_FLAGS_BYTE = 7


def parts_of(word: int) -> tuple[tuple[str, float], ...]:
    """Return the streams that contributed with their scores, strongest first.

    Scores are those of the row, in sixteenths, and 15.9 at most.
    """
    scores = [(name, _byte(word, k) / STEPS_PER_UNIT) for k, name in enumerate(STREAMS)]
    told = [part for part in scores if part[1] >= PART_MIN]
    return tuple(sorted(told, key=lambda part: -part[1]))


def season_of(word: int) -> str:
    """Return the season that the expectation came from: "day", "week", or "" for none."""
    season = _byte(word, _SEASON_BYTE) & 0xF
    return SEASONS[season] if season < len(SEASONS) else ""


def is_beyond_threshold(word: int) -> bool:
    """Tell whether the row passed a threshold of its rule."""
    return bool(word & (ABOVE_BIT | BELOW_BIT))


def has_invalid_before(word: int) -> bool:
    """Tell whether rows out of the valid range came a short while before the row."""
    return bool(word & INVALID_BIT)


def own_flags(word: int) -> int:
    """Return the flags of the row itself (`domain.quality.ROW_FLAGS`)."""
    return _byte(word, _OWN_FLAGS_BYTE)


def window_flags(word: int) -> int:
    """Return the flags seen on the series a short while before the row, its own included."""
    return _byte(word, _WINDOW_FLAGS_BYTE)


def _byte(word: int, k: int) -> int:
    return word >> 8 * k & 0xFF  # also right for a word that was read as signed
