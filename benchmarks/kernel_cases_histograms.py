"""Cases of the kernel that makes quantiles and rates of histograms."""

import math

import numpy as np

from aiops.series.kernels import histograms as layout
from benchmarks.kernel_cases import SEED, START_MS, STEP_MS, Case, Kernel, requests_of
from tests.naive.histograms import NaiveFamily, naive_histograms_take

N_BUCKETS = 12
"""Go's default buckets (client_golang, `DefBuckets`) with `+Inf`."""

SIGNALS = ((math.nan, 0.0, 900_000.0), (0.5, 10.0, 900_000.0), (0.95, 100.0, 900_000.0))
"""The default settings: rate, median and p95."""

BOUNDS = (*(0.005 * 2.0**k for k in range(N_BUCKETS - 1)), math.inf)
N_STEPS_CHECKED = 40


def histograms_take(kernel: Kernel, n_slots: int) -> Case:
    """k_histograms_take: a sample of every bucket of busy histograms, request by request."""
    n_families = max(1, n_slots // N_BUCKETS)
    n_rows = n_families * N_BUCKETS
    state, out = _state(n_families), _out_columns(n_rows)
    slots, ts_ms = np.arange(n_rows, dtype=np.int32), np.full(n_rows, START_MS)
    counts = np.zeros(n_rows)
    seen_ms, signals = np.full(n_rows, START_MS), np.array(SIGNALS)
    progress = np.zeros(layout.PROGRESS_SIZE, np.int64)
    rises = np.cumsum(np.random.default_rng(SEED).integers(0, 50, (n_families, N_BUCKETS)), axis=1)

    def call() -> None:
        for part in requests_of(n_rows):
            progress[:] = 0
            bits = counts[part].view(np.uint64)
            rows = (slots[part], ts_ms[part], bits, START_MS, seen_ms)
            kernel(progress, *rows, *state, signals, *out)

    def reset() -> None:
        ts_ms[:] += STEP_MS
        counts[:] += rises.ravel()

    facts = {"state_bytes_per_slot": (state[0].nbytes + state[1].nbytes) // n_rows}
    return Case(n_rows, call, lambda: _is_take_right(kernel), reset, facts)


def _state(n_families: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_slots = n_families * N_BUCKETS
    links = np.zeros((n_slots, layout.LINKS_SIZE), np.int32)
    links[:, layout.FAMILY] = 1 + np.arange(n_slots) // N_BUCKETS
    links[:, layout.NEXT] = 2 + np.arange(n_slots)
    links[N_BUCKETS - 1 :: N_BUCKETS, layout.NEXT] = 0
    counts = np.zeros((n_slots, layout.WINDOW + len(SIGNALS)))
    counts[:, layout.BOUND] = np.tile(BOUNDS, n_families)
    counts[:, layout.LAST] = np.nan
    families = np.zeros((n_families, layout.START_MS + len(SIGNALS)), np.int64)
    families[:, layout.FIRST] = 1 + N_BUCKETS * np.arange(n_families)
    return links, counts, families


def _out_columns(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros((n, 2), np.int32), np.zeros(n, np.int64), np.zeros(n, np.uint64)


def _is_take_right(kernel: Kernel) -> bool:
    """Two families with few observations, resets and missing rows, a request a scrape."""
    rng = np.random.default_rng(SEED)
    n_rows = 2 * N_BUCKETS
    state, (keys, out_ts, out_bits) = _state(2), _out_columns(n_rows)
    families = {
        f: NaiveFamily({f * N_BUCKETS + k: b for k, b in enumerate(BOUNDS)}) for f in (0, 1)
    }
    values, seen_ms = np.zeros((2, N_BUCKETS)), np.full(n_rows, START_MS)
    for step in range(1, N_STEPS_CHECKED):
        values += np.cumsum(rng.integers(0, 3, values.shape), axis=1)
        values *= rng.random() > 0.05
        slots = rng.permutation(n_rows)[: n_rows - int(rng.random() < 0.1)].astype(np.int32)
        at_ms, now_ms = START_MS + STEP_MS * step, START_MS
        shown = values.ravel()[slots]
        progress = np.zeros(layout.PROGRESS_SIZE, np.int64)
        ts_ms = np.full(len(slots), at_ms)
        rows = (slots, ts_ms, shown.view(np.uint64), now_ms, seen_ms)
        kernel(progress, *rows, *state, np.array(SIGNALS), keys, out_ts, out_bits)
        n = int(progress[layout.N_OUT])
        told = [(*keys[k].tolist(), at_ms, float(out_bits.view(np.float64)[k])) for k in range(n)]
        plain = list(zip(slots.tolist(), ts_ms.tolist(), shown.tolist(), strict=True))
        if told != naive_histograms_take(families, plain, now_ms, seen_ms, SIGNALS):
            return False
    return True
