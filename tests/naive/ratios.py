"""Plain twin of the kernel of ratios: increases summed by group and side."""

import math


def naive_ratios_add(newest, sums, spans, chains, rows):
    """Add rows to the sums of their groups.

    newest: slot -> value of series that report; sums: (group, side) -> increase; spans: group ->
    [first, newest time]; chains: slot -> [(group, side)]; rows: [(slot, ts, value or None)], None
    for a staleness marker.
    """
    for slot, ts, value in rows:
        if slot not in chains or (value is not None and not math.isfinite(value)):
            continue
        before = newest.pop(slot, None)
        if before is None and value is None:
            continue
        increase = 0.0
        if value is not None:
            newest[slot] = value
            if before is not None:
                increase = value - before if value >= before else value
        for place in chains[slot]:
            span = spans.setdefault(place[0], [ts, ts])
            span[1] = max(span[1], ts)
            sums[place] = sums.get(place, 0.0) + increase
