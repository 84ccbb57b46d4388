"""`python -m tests.metrics_page` writes `config/METRICS.md`: the service's own metrics.

The page is read off the source, so that no service has to run and no part can be forgotten.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tests.source_tree import ROOT, called_name, modules, where

PAGE = ROOT / "config/METRICS.md"
KINDS = {
    "Counter": "counter",
    "CounterMetricFamily": "counter",
    "Gauge": "gauge",
    "GaugeMetricFamily": "gauge",
    "Histogram": "histogram",
    "Summary": "summary",
    "Info": "info",
}
SUFFIXES = {"counter": "_total", "info": "_info"}
"""What prometheus-client adds to a name that does not end so already."""

_HEAD = """\
# Metrics of the service itself

Served at `/metrics`, beside those of the process and of Python. Generated from the source by
`make docs`; a test compares.

| metric | type | labels | meaning |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Metric:
    """One metric as it is registered in the source."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def page() -> str:
    """Return the page with one row a metric, sorted by name."""
    rows = sorted({_row(metric) for metric in metrics()})
    return _HEAD + "\n".join(rows) + "\n"


def metrics() -> Iterator[Metric]:
    """Yield every metric that is registered anywhere in the package."""
    for call, place in registrations():
        name, meaning = (_literal(arg) for arg in call.args[:2])
        if name is None and called_name(call).endswith("Family"):
            continue  # inside a helper whose callers hand the name in
        assert isinstance(name, str) and isinstance(meaning, str), f"{place}: not literal"
        kind = KINDS.get(called_name(call), "gauge")
        suffix = SUFFIXES.get(kind, "")
        full = name if name.endswith(suffix) else name + suffix
        yield Metric(full, kind, _labels(call), meaning)


def registrations() -> Iterator[tuple[ast.Call, str]]:
    """Yield every call that makes a metric, with its place in the source."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and len(node.args) >= 2 and _is_metric(node):
                yield node, where(module, node.lineno)


def _is_metric(call: ast.Call) -> bool:
    """Tell whether a call makes a metric: by the class, or by a helper given a metric's name."""
    if called_name(call) in KINDS:
        return True
    return called_name(call) == "_gauge" and str(_literal(call.args[0])).startswith("aiops_")


def _labels(call: ast.Call) -> tuple[str, ...]:
    given = [keyword.value for keyword in call.keywords if keyword.arg in ("labelnames", "labels")]
    found = _literal((call.args[2:] or given or [ast.Tuple([], ast.Load())])[0])
    return tuple(found) if isinstance(found, list | tuple) else ()


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning.rstrip('.')} |"


if __name__ == "__main__":
    PAGE.write_text(page())
