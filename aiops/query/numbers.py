"""Numbers as Prometheus spells them in JSON answers."""

from decimal import Decimal

from aiops.domain.samples import F64

_SMALL, _LARGE = 1e-6, 1e21
"""Where Prometheus' samples change to exponents (util/jsonutil MarshalFloat); scalars never do."""


def format_sample(value: float) -> str:
    """Return a sample's value as in vectors and matrices: `1`, `0.5`, `1e+21`, `NaN`, `+Inf`."""
    text = repr(value)
    if "e" not in text and "n" not in text:
        return text.removesuffix(".0")
    if _SMALL <= abs(value) < _LARGE:
        return format(Decimal(text), "f")
    return _NAMES.get(text, text)


def format_scalar(value: float) -> str:
    """Return a scalar's value, which is never spelt with an exponent."""
    text = repr(value)
    if "e" not in text:
        return _NAMES.get(text, text.removesuffix(".0"))
    return format(Decimal(text), "f")


def format_samples(values: F64) -> list[str]:
    """Return `format_sample` of a column."""
    return [format_sample(value) for value in values.tolist()]


def json_time(ms: int) -> int | float:
    """Return epoch milliseconds as the JSON number of seconds, whole ones without a point."""
    return ms // 1000 if ms % 1000 == 0 else ms / 1000


_NAMES = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
