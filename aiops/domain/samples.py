"""Columns of samples as they travel from a door to the journal and into the core."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

STALE_BITS = 0x7FF0000000000002
"""The staleness marker (prometheus model/value/value.go); compare as uint64, never as float."""


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """One accepted block of samples in arrival order.

    Parameters
    ----------
    fingerprints, ts_ms, values
        Parallel columns of length n: uint64, int64 epoch ms, float64. `values` keeps the bits
        of staleness markers. The batch owns its arrays; nobody writes to them afterwards.
    new_fingerprints, new_blocks
        Series that may be unknown downstream: fingerprint and canonical label block
        (`wire.labels.encode_labels`), parallel. Announcing a known series again is harmless.
    """

    fingerprints: U64
    ts_ms: I64
    values: F64
    new_fingerprints: tuple[int, ...] = ()
    new_blocks: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        return len(self.ts_ms)


@dataclass(frozen=True, slots=True)
class MetricMetadata:
    """What a sender told about a metric family; `kind` is counter, gauge, histogram, ..."""

    family: str
    kind: str
    help: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class SeriesRef:
    """A live or stored series: its identity and its labels."""

    fingerprint: int
    slot: int
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """Rows of one series in time order, raw value beside what the detector said.

    `values` keeps staleness markers; `scores` is -log10 p; `expected`, `lower` and `upper` are
    in the unit of the detector's feature (per-second rate for counters) and NaN before warm-up.
    """

    ref: SeriesRef
    ts_ms: I64
    values: F64
    scores: F64
    expected: F64
    lower: F64
    upper: F64
    is_anomalous: npt.NDArray[np.bool_]
