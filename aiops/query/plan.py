"""What a query needs fetched before it can be evaluated."""

from dataclasses import dataclass

from aiops.domain.matchers import Matchers
from aiops.query.derived import select
from aiops.query.tree import Node, Selector, Window, selectors


@dataclass(frozen=True, slots=True)
class RowsFetch:
    """Rows of all series that match, in a span of time with both ends included."""

    matchers: Matchers
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All fetches of a query, each once; `incidents_ms` is a span of time or None."""

    rows: tuple[RowsFetch, ...]
    incidents_ms: tuple[int, int] | None


def plan_query(tree: Node, window: Window) -> Plan:
    """Return what has to be fetched to evaluate a tree over a window."""
    rows: dict[RowsFetch, None] = {}
    spans: list[tuple[int, int]] = []
    for selector in selectors(tree):
        rows.update(dict.fromkeys(rows_fetches(selector, window)))
        if select(selector.matchers).has_incidents:
            spans.append(selector.reach_ms(window))
    incidents_ms = (min(a for a, _ in spans), max(b for _, b in spans)) if spans else None
    return Plan(tuple(rows), incidents_ms)


def rows_fetches(selector: Selector, window: Window) -> tuple[RowsFetch, ...]:
    """Return the row fetches of one selector: `stored_fetch` and `base_fetch`, if needed."""
    both = (stored_fetch(selector, window), base_fetch(selector, window))
    return tuple(fetch for fetch in both if fetch is not None)


def stored_fetch(selector: Selector, window: Window) -> RowsFetch | None:
    """Return the fetch for the stored series a selector finds."""
    stored = select(selector.matchers).stored
    return None if stored is None else RowsFetch(stored, *selector.reach_ms(window))


def base_fetch(selector: Selector, window: Window) -> RowsFetch | None:
    """Return the fetch for the stored series behind the derived ones a selector finds."""
    selection = select(selector.matchers)
    return RowsFetch(selection.base, *selector.reach_ms(window)) if selection.names else None
