"""Cases of the kernel that sums the increases of ratios."""

import numpy as np

from aiops.domain.samples import STALE_BITS
from aiops.series.kernels import ratios as layout
from benchmarks.kernel_cases import SEED, START_MS, STEP_MS, Case, Kernel, requests_of
from tests.naive.ratios import naive_ratios_add

SERIES_PER_GROUP = 20
"""Chosen: five pods with a handful of status codes."""

N_CHECKED, N_STEPS_CHECKED = 40, 30


def ratios_add(kernel: Kernel, n_slots: int) -> Case:
    """k_ratios_add: a sample of every series, each of a denominator, every fourth of both sides."""
    state = _state(n_slots)
    slots, ts_ms = np.arange(n_slots, dtype=np.int32), np.full(n_slots, START_MS)
    values = np.zeros(n_slots)

    def call() -> None:
        for part in requests_of(n_slots):
            kernel(slots[part], ts_ms[part], values[part].view(np.uint64), *state)

    def reset() -> None:
        ts_ms[:] += STEP_MS
        values[:] += 1.0

    facts = {"state_bytes_per_slot": sum(array.nbytes for array in state) // n_slots}
    return Case(n_slots, call, lambda: _is_add_right(kernel), reset, facts)


def _state(n_slots: int) -> tuple[np.ndarray, ...]:
    both = np.arange(0, n_slots, 4)
    n_groups = 1 + n_slots // SERIES_PER_GROUP
    members = np.zeros((n_slots + len(both), layout.MEMBERS_SIZE), np.int32)
    members[:n_slots, layout.GROUP] = np.arange(n_slots) // SERIES_PER_GROUP
    members[:n_slots, layout.SIDE] = layout.DENOMINATOR
    members[n_slots:, layout.GROUP] = both // SERIES_PER_GROUP
    members[both, layout.NEXT] = 1 + n_slots + np.arange(len(both))
    sums = np.zeros((n_groups, layout.SUMS_SIZE))
    groups = np.zeros((n_groups, layout.GROUPS_SIZE), np.int64)
    heads = 1 + np.arange(n_slots, dtype=np.int32)
    return heads, np.full(n_slots, np.nan), members, sums, groups


def _is_add_right(kernel: Kernel) -> bool:
    """Counters with resets, ends and odd values."""
    rng = np.random.default_rng(SEED)
    state = _state(N_CHECKED)
    newest, sums, spans = {}, {}, {}
    chains = {s: [(s // SERIES_PER_GROUP, layout.DENOMINATOR)] for s in range(N_CHECKED)}
    for slot in range(0, N_CHECKED, 4):
        chains[slot].append((slot // SERIES_PER_GROUP, layout.NUMERATOR))
    values = np.zeros(N_CHECKED)
    for step in range(N_STEPS_CHECKED):
        values += rng.integers(0, 9, N_CHECKED)
        values[rng.random(N_CHECKED) < 0.1] = 0.0
        shown = values.copy()
        shown[rng.random(N_CHECKED) < 0.05] = np.nan
        shown.view(np.uint64)[rng.random(N_CHECKED) < 0.05] = STALE_BITS
        slots = rng.permutation(N_CHECKED)[:30].astype(np.int32)
        ts_ms = np.full(30, START_MS + STEP_MS * step)
        bits = shown[slots].view(np.uint64)
        kernel(slots, ts_ms, bits, *state)
        told = [None if b == STALE_BITS else b.view(np.float64) for b in bits]
        naive_ratios_add(newest, sums, spans, chains, zip(slots.tolist(), ts_ms, told, strict=True))
    totals, groups = state[3], state[4]
    are_sums = all(totals[place] == total for place, total in sums.items())
    edges = [layout.START_MS, layout.NEWEST_MS]
    are_spans = all(groups[group, edges].tolist() == span for group, span in spans.items())
    n_live = int(groups[:, layout.N_LIVE].sum())
    return are_sums and are_spans and n_live == sum(len(chains[slot]) for slot in newest)
