"""Sealed blocks for the tests of the sample store, and a store that neither lingers nor waits."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from aiops.clock import DAY_MS
from aiops.domain.labels import labels_from
from aiops.domain.samples import SeriesRef
from aiops.store.head import SealedBlock, SealedGroup
from aiops.store.kernels.head import BASE_TS, BEFORE_TS, GROUP_SLOTS, N_ROWS
from aiops.store.sample_reader import unpack
from aiops.store.samples import SampleStore
from aiops.wire.labels import encode_labels

DAY = 19_675
DAY_START_MS = DAY * DAY_MS
STEP_MS = 1000


def ref(fingerprint: int, slot: int = 0) -> SeriesRef:
    return SeriesRef(fingerprint, slot, labels_from({"__name__": f"m{fingerprint}"}))


def block(
    fingerprint: int = 11,
    *,
    slot: int = 0,
    seal: int = 0,
    start_ms: int = DAY_START_MS,
    n_rows: int = 3,
    step_ms: int = STEP_MS,
    is_named: bool = True,
) -> SealedBlock:
    """Return a block with rows of one series; its values count from `start_ms` on."""
    group, member = divmod(slot, GROUP_SLOTS)
    meta = np.zeros((GROUP_SLOTS, 4), np.int64)
    meta[:, BEFORE_TS] = -1
    meta[member, N_ROWS], meta[member, BASE_TS] = n_rows, start_ms
    rows = np.zeros((n_rows, 2), np.uint64)
    rows[:, 0] = (start_ms + np.arange(n_rows)).astype(np.float64).view(np.uint64)
    rows[:, 1] = (np.arange(n_rows) * step_ms).astype(np.uint64) << np.uint64(33)
    fingerprints = np.zeros(GROUP_SLOTS, np.uint64)
    fingerprints[member] = fingerprint
    labels = [b""] * GROUP_SLOTS
    labels[member] = encode_labels(ref(fingerprint).labels)
    return SealedBlock(
        SealedGroup(group, seal, meta, rows),
        fingerprints,
        np.zeros(GROUP_SLOTS, np.int64),
        tuple(labels) if is_named else (),
    )


def sample_store(directory: Path, **settings) -> SampleStore:
    known = {"retention_days": 15, "linger_s": 0.0, "retry_s": 0.001} | settings
    return SampleStore(directory, registry=CollectorRegistry(), **known)


@contextmanager
def running(directory: Path, **settings):
    store = sample_store(directory, **settings)
    store.start()
    try:
        yield store
    finally:
        store.close()


def times_of(runs, fingerprint: int) -> list[int]:
    """Return the times of all rows found of a series, block by block."""
    by_key = runs[fingerprint]
    return unpack(ref(fingerprint), [by_key[key] for key in sorted(by_key)]).ts_ms.tolist()
