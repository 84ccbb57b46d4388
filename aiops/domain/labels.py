"""Label sets: the sorted name=value pairs that name a series or an alert."""

Labels = tuple[tuple[str, str], ...]
"""Pairs sorted by name, without duplicates and without empty values."""

METRIC_NAME = "__name__"


def labels_from(pairs: dict[str, str]) -> Labels:
    """Return the canonical label set of `pairs`: sorted by name, empty values left out."""
    return tuple(sorted((name, value) for name, value in pairs.items() if value != ""))


def label_value(labels: Labels, name: str) -> str:
    """Return the value of `name`, or "" when the set does not have it (as Prometheus does)."""
    for key, value in labels:
        if key == name:
            return value
    return ""


def without_name(labels: Labels) -> Labels:
    """Return the label set without the metric name."""
    return tuple(pair for pair in labels if pair[0] != METRIC_NAME)


def format_series(labels: Labels) -> str:
    """Return the PromQL spelling of a series, for people: `up{job="node"}`."""
    inner = ", ".join(f'{k}="{_escape(v)}"' for k, v in labels if k != METRIC_NAME)
    name = label_value(labels, METRIC_NAME)
    return f"{name}{{{inner}}}" if inner or not name else name


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
