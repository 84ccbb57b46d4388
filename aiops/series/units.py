"""The unit of what a detector reads of a series, from its metadata or its name."""

_UNITS = {
    "seconds": "s",
    "milliseconds": "ms",
    "microseconds": "us",
    "bytes": "B",
    "bits": "bit",
    "celsius": "°C",
    "volts": "V",
    "amperes": "A",
    "joules": "J",
    "watts": "W",
    "hertz": "Hz",
    "meters": "m",
    "grams": "g",
    "percent": "%",
}
"""Base units by the last part of a name (Prometheus, "Metric and label naming"; OpenMetrics 1.0,
section "Units and Base Units"), and those that are common in spite of it."""

_COUNTING = ("_count", "_bucket")
"""Of a histogram or summary: how many there were, whatever their unit."""


def unit_of(name: str, told: str, *, is_rate: bool) -> str:
    """Return a short unit such as `s` or `B/s`, "" when nothing tells.

    Parameters
    ----------
    told
        The family's unit from its metadata, "" when there is none.
    is_rate
        Whether the feature is the series' increase a second.
    """
    unit = "" if name.endswith(_COUNTING) else _base_unit(name, told)
    return f"{unit}/s" if is_rate else unit


def _base_unit(name: str, told: str) -> str:
    if told:
        return _UNITS.get(told, told)
    stem = name.removesuffix("_total").removesuffix("_sum")
    return _UNITS.get(stem.rpartition("_")[2], "")
