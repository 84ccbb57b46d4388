"""The columns between the stages of the data plane, allocated once and used for every batch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64, I32, I64, U8, U64
from aiops.series.kernels import intake
from aiops.series.kernels.intake import k_intake_prepare


@dataclass(slots=True)
class BatchRows:
    """Rows that intake kept of a batch; valid until the next one, the first `n_rows` count.

    Parameters
    ----------
    slot_values, fates
        Of all rows that came in, as the map gave them and as intake judged them.
    slots, ts_ms, bits, features, flags
        Of those that were kept, as `k_intake_prepare` writes them.
    words
        What was wrong with the data, as `QualityState.note` says.
    in_anomaly
        Whether a row lies in an anomaly.
    counts
        Rows by fate, by the indices of `series.kernels.intake`.
    """

    slot_values: U64
    slots: I32
    ts_ms: I64
    bits: U64
    features: F64
    flags: U8
    fates: U8
    words: U64
    in_anomaly: U8
    counts: I64
    n_rows: int = 0

    @classmethod
    def allocate(cls, n: int) -> "BatchRows":
        """Return columns for up to `n` rows."""
        return cls(
            np.empty(n, np.uint64),
            np.empty(n, np.int32),
            np.empty(n, np.int64),
            np.empty(n, np.uint64),
            np.empty(n),
            np.empty(n, np.uint8),
            np.empty(n, np.uint8),
            np.empty(n, np.uint64),
            np.zeros(n, np.uint8),
            np.zeros(intake.COUNTS_SIZE, np.int64),
        )

    def prepare(self, slot_values: U64, ts_ms: I64, bits: U64, track: npt.NDArray[np.int64]) -> int:
        """Keep the rows that extend their series; return how many these are."""
        k_intake_prepare(
            slot_values,
            ts_ms,
            bits,
            track,
            self.slots,
            self.ts_ms,
            self.bits,
            self.features,
            self.flags,
            self.fates,
            self.counts,
        )
        self.n_rows = int(self.counts[intake.N_KEPT])
        return self.n_rows
