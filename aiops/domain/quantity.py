"""Numbers as people read them: few digits, one scale for those that are compared, and a unit."""

import math
from collections.abc import Sequence

_PLAIN_MIN, _PLAIN_MAX = 1e-6, 1e15
"""Chosen: outside of this people read powers of ten more easily than zeros."""

DECIMALS_MAX = 9

_DECIMAL_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIME_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def format_alike(values: Sequence[float], unit: str = "") -> list[str]:
    """Return numbers that are compared, with equal decimals and scale, each with its unit.

    Two significant digits of the largest, and more while any two that differ would read the same:
    `0.31`, `0.10`. Bytes and bits get a prefix, short times a smaller unit.
    """
    factor, shown_unit = _scale(values, unit)
    scaled = [value / factor for value in values]
    decimals = _decimals(scaled)
    return [_with_unit(_number(value, decimals), shown_unit) for value in scaled]


def format_exactly(value: float, unit: str = "") -> str:
    """Return a number as somebody wrote it down, with its unit: all digits, no prefix."""
    return _with_unit(f"{value:.15g}", unit)


def _scale(values: Sequence[float], unit: str) -> tuple[float, str]:
    base, slash, per = unit.partition("/")
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if base in ("B", "bit"):
        for factor, prefix in _DECIMAL_SCALES:
            if largest >= factor:
                return factor, f"{prefix}{base}{slash}{per}"
    if unit == "s" and 0.0 < largest < 1.0:
        for factor, name in _TIME_SCALES:
            if largest >= factor:
                return factor, name
    return 1.0, unit


def _decimals(values: Sequence[float]) -> int:
    sizes = [abs(x) for x in values if math.isfinite(x) and x != 0.0]
    decimals = max(1 - math.floor(math.log10(max(sizes))), 0) if sizes else 0
    n_different = len({value for value in values if not math.isnan(value)})
    while decimals < DECIMALS_MAX and _n_texts(values, decimals) < n_different:
        decimals += 1
    return min(decimals, DECIMALS_MAX)


def _n_texts(values: Sequence[float], decimals: int) -> int:
    return len({f"{value:.{decimals}f}" for value in values if not math.isnan(value)})


def _number(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "infinite" if value > 0 else "-infinite"
    if value != 0.0 and not _PLAIN_MIN <= abs(value) < _PLAIN_MAX:
        return f"{value:.3g}"
    return f"{value:,.{decimals}f}"


def _with_unit(number: str, unit: str) -> str:
    if not unit or number == "unknown":
        return number
    return f"{number}{unit}" if unit[0] in "/%" else f"{number} {unit}"
