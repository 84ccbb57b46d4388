"""From decoded columns to journal batches: keys to fingerprints, newcomers checked."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from aiops.clock import Clock
from aiops.config import LimitsConfig
from aiops.domain.samples import I64, U8, U64, SampleBatch
from aiops.errors import DecodeError
from aiops.series.directory import NewSeriesBudget, SeriesDirectory
from aiops.wire.kernels.hashing import k_block_hash
from aiops.wire.kernels.label_check import k_label_blocks_check
from aiops.wire.labels import LabelError, LabelLimits, canonical_block
from aiops.wire.remote_write import WriteSlice, label_bytes

SERIES_MAX = "series_max"
NEW_SERIES_RATE = "new_series_rate"
FUTURE = "too_far_in_future"
HISTOGRAM = "native_histogram"
TEMPORARY_REASONS = frozenset({NEW_SERIES_RATE})
"""Reasons that pass by themselves; all others are the sender's to mend."""


@dataclass(slots=True)
class Accepted:
    """What became of one slice: a batch for the journal, and refused samples by reason."""

    batch: SampleBatch
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Newcomers:
    """Series found in a slice that the directory did not know."""

    fingerprints: list[int] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    """Index of the series in the slice -> reason."""


class Intake:
    """Names the series of decoded samples; owned by the event loop, with its directory.

    Parameters
    ----------
    limits
        Bounds on labels, on series and on the rate of new ones.
    secrets
        Four uint64 that key the hash, the same as the decoder's.
    clock
        Time for the rate of new series.
    """

    def __init__(self, limits: LimitsConfig, secrets: U64, clock: Clock) -> None:
        self.directory = SeriesDirectory()
        self._series_max = limits.series_max
        self._label_limits = LabelLimits(
            limits.labels_per_series_max,
            limits.label_name_bytes_max,
            limits.label_value_bytes_max,
            limits.label_block_bytes_max,
        )
        self._limit_columns = np.array(
            [
                limits.labels_per_series_max,
                limits.label_name_bytes_max,
                limits.label_value_bytes_max,
                limits.label_block_bytes_max,
            ],
            np.int64,
        )
        self._budget = NewSeriesBudget(limits.new_series_per_s, limits.new_series_burst)
        self._secrets = secrets
        self._clock = clock

    def accept(self, body: U8, part: WriteSlice) -> Accepted:
        """Return the batch of a slice; it owns its arrays, the slice may be overwritten after."""
        fingerprints = np.empty(len(part.keys), np.uint64)
        unknown = self.directory.resolve(part.keys, fingerprints)
        newcomers = _Newcomers()
        if len(unknown):
            self._admit(body, part, unknown, newcomers)
            self.directory.resolve(part.keys, fingerprints)
        rows = fingerprints[part.row_series]
        kept = slice(None) if not newcomers.refused else rows != 0
        batch = SampleBatch(
            rows[kept],
            part.row_ts[kept].copy(),
            part.row_bits[kept].view(np.float64).copy(),
            tuple(newcomers.fingerprints),
            tuple(newcomers.blocks),
        )
        refused = _count_refused(part, newcomers.refused)
        refused.update({FUTURE: part.n_future, HISTOGRAM: part.n_histograms})
        return Accepted(batch, +refused)

    def withdraw(self, batch: SampleBatch) -> None:
        """Forget newcomers of a batch that did not reach the journal: they are announced again."""
        if batch.new_fingerprints:
            self.directory.forget(np.array(batch.new_fingerprints, np.uint64))

    def _admit(self, body: U8, part: WriteSlice, unknown: I64, newcomers: _Newcomers) -> None:
        first = _first_of_each(part.keys[unknown], part.irregular[unknown])
        candidates = unknown[first]
        n_granted = self._grant(len(candidates))
        reason = SERIES_MAX if self._room() < len(candidates) else NEW_SERIES_RATE
        newcomers.refused.update(dict.fromkeys(candidates[n_granted:].tolist(), reason))
        granted = candidates[:n_granted]
        canonical = np.empty(len(granted), np.uint8)
        k_label_blocks_check(body, part.spans, granted, self._limit_columns, canonical)
        canonical[part.irregular[granted] == 1] = 0
        self._announce_canonical(body, part, granted[canonical == 1], newcomers)
        for index in granted[canonical == 0].tolist():
            self._announce_checked(body, part, index, newcomers)

    def _grant(self, n_wanted: int) -> int:
        return self._budget.take(min(n_wanted, self._room()), self._clock.monotonic_s())

    def _room(self) -> int:
        return max(0, self._series_max - self.directory.n_series)

    def _announce_canonical(
        self, body: U8, part: WriteSlice, indices: I64, newcomers: _Newcomers
    ) -> None:
        keys = part.keys[indices]
        self.directory.announce(keys)
        newcomers.fingerprints.extend(keys.tolist())
        data = body.data
        spans = part.spans[indices].tolist()
        newcomers.blocks.extend(bytes(data[start:end]) for start, end in spans)

    def _announce_checked(
        self, body: U8, part: WriteSlice, index: int, newcomers: _Newcomers
    ) -> None:
        start, end = part.spans[index].tolist()
        raw = body[start:end].tobytes()
        try:
            block = canonical_block(
                label_bytes(raw) if part.irregular[index] else raw, self._label_limits
            )
        except LabelError as error:
            newcomers.refused[index] = error.reason
            return
        except DecodeError:
            newcomers.refused[index] = "malformed_labels"
            return
        fingerprint = self._fingerprint(block)
        if not self.directory.is_known(fingerprint):
            self.directory.announce(np.array([fingerprint], np.uint64))
            newcomers.fingerprints.append(fingerprint)
            newcomers.blocks.append(block)
        if part.irregular[index]:
            # No key of its own; write the fingerprint into the slice, so that it resolves now.
            part.keys[index] = fingerprint
        else:
            self.directory.alias(int(part.keys[index]), fingerprint)

    def _fingerprint(self, block: bytes) -> int:
        data = np.frombuffer(block, np.uint8)
        return int(k_block_hash(data, 0, len(block), self._secrets))


def _first_of_each(keys: U64, irregular: U8) -> I64:
    """Return the positions of the first of each key, and of every irregular series, in order."""
    _, first = np.unique(keys, return_index=True)
    return np.union1d(first, np.flatnonzero(irregular == 1)).astype(np.int64)


def _count_refused(part: WriteSlice, refused: dict[int, str]) -> Counter[str]:
    """Return refused samples by reason; later series of a refused key share its fate."""
    counts: Counter[str] = Counter()
    if not refused:
        return counts
    reasons = {int(part.keys[index]): reason for index, reason in refused.items()}
    per_series = np.bincount(part.row_series, minlength=len(part.keys))
    for index in np.flatnonzero(np.isin(part.keys, np.array(list(reasons), np.uint64))).tolist():
        reason = refused.get(index, reasons[int(part.keys[index])])
        counts[reason] += int(per_series[index])
    return counts
