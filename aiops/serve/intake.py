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
from aiops.wire.labels import LABEL_REASONS, LabelError, LabelLimits, canonical_block
from aiops.wire.remote_write import WriteSlice, label_bytes

SERIES_MAX = "series_max"
NEW_SERIES_RATE = "new_series_rate"
FUTURE = "too_far_in_future"
HISTOGRAM = "native_histogram"
MALFORMED_LABELS = "malformed_labels"
MALFORMED_METADATA = "malformed_metadata"
TEMPORARY_REASONS = frozenset({NEW_SERIES_RATE})
"""Reasons that pass by themselves; all others are the sender's to mend."""

REASONS = (
    SERIES_MAX,
    NEW_SERIES_RATE,
    FUTURE,
    HISTOGRAM,
    MALFORMED_LABELS,
    MALFORMED_METADATA,
    *LABEL_REASONS,
)
"""Everything that part of a request may be refused for."""


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
        self.directory = SeriesDirectory(aliases_max=limits.series_max)
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
        self._announcing: dict[int, bytes] = {}
        """Series whose first batch is on its way to the journal: fingerprint -> label block."""

    def accept(self, body: U8, part: WriteSlice) -> Accepted:
        """Return the batch of a slice; it owns its arrays, the slice may be overwritten after."""
        fingerprints = np.empty(len(part.keys), np.uint64)
        unknown = self.directory.resolve(part.keys, fingerprints)
        newcomers = _Newcomers()
        if len(unknown):
            self._admit(body, part, unknown, newcomers)
            self.directory.resolve(part.keys, fingerprints)
        rows = fingerprints[part.row_series]
        self._announce_with(rows, newcomers)
        kept = slice(None) if not newcomers.refused else rows != 0
        batch = SampleBatch(
            rows[kept],
            part.row_ts[kept].copy(),
            part.row_bits[kept].view(np.float64).copy(),
            tuple(newcomers.fingerprints),
            tuple(newcomers.blocks),
        )
        refused = _count_refused(part, newcomers.refused)
        refused[FUTURE] += part.n_future
        refused[HISTOGRAM] += part.n_histograms
        refused[MALFORMED_METADATA] += part.n_metadata_malformed
        return Accepted(batch, +refused)

    def confirm(self, batch: SampleBatch) -> None:
        """Note that a batch is in the journal: its newcomers need not be announced any more."""
        for fingerprint in batch.new_fingerprints:
            self._announcing.pop(fingerprint, None)

    def withdraw(self, batch: SampleBatch) -> None:
        """Forget newcomers of a batch that did not reach the journal: they are announced again."""
        if batch.new_fingerprints:
            self.confirm(batch)
            self.directory.forget(np.array(batch.new_fingerprints, np.uint64))

    def _announce_with(self, rows: U64, newcomers: _Newcomers) -> None:
        """Announce series also here whose first batch may yet fail: this one may be kept."""
        if self._announcing:
            waiting = np.fromiter(self._announcing, np.uint64, len(self._announcing))
            for fingerprint in np.intersect1d(rows, waiting).tolist():
                newcomers.fingerprints.append(fingerprint)
                newcomers.blocks.append(self._announcing[fingerprint])
        self._announcing.update(zip(newcomers.fingerprints, newcomers.blocks, strict=True))

    def _admit(self, body: U8, part: WriteSlice, unknown: I64, newcomers: _Newcomers) -> None:
        candidates = unknown[_first_of_each(part.keys[unknown], part.irregular[unknown])]
        canonical = np.empty(len(candidates), np.uint8)
        k_label_blocks_check(body, part.spans, candidates, self._limit_columns, canonical)
        canonical[part.irregular[candidates] == 1] = 0
        self._announce_canonical(body, part, candidates[canonical == 1], newcomers)
        for index in candidates[canonical == 0].tolist():
            self._announce_checked(body, part, index, newcomers)

    def _take(self, n_wanted: int) -> int:
        return self._budget.take(n_wanted, self._clock.monotonic_s())

    def _room(self) -> int:
        return max(0, self._series_max - self.directory.n_series)

    def _announce_canonical(
        self, body: U8, part: WriteSlice, indices: I64, newcomers: _Newcomers
    ) -> None:
        """Announce series whose key is their fingerprint: not known as a key, they are new."""
        room = self._room()
        n_granted = self._take(min(len(indices), room))
        newcomers.refused.update(dict.fromkeys(indices[room:].tolist(), SERIES_MAX))
        newcomers.refused.update(dict.fromkeys(indices[n_granted:room].tolist(), NEW_SERIES_RATE))
        granted = indices[:n_granted]
        keys = part.keys[granted]
        self.directory.announce(keys)
        newcomers.fingerprints.extend(keys.tolist())
        data = body.data
        spans = part.spans[granted].tolist()
        newcomers.blocks.extend(bytes(data[start:end]) for start, end in spans)

    def _announce_checked(
        self, body: U8, part: WriteSlice, index: int, newcomers: _Newcomers
    ) -> None:
        """Name one series by its canonical labels; announce it unless it is known by them.

        A look needs a token, and only a new series keeps it: while nothing may be created the
        sender waits, but neither known series nor hopeless ones use up what newcomers need.
        """
        if not self._take(1):
            newcomers.refused[index] = NEW_SERIES_RATE
            return
        try:
            block = self._canonical(body, part, index)
        except DecodeError as error:
            self._budget.give_back(1)
            newcomers.refused[index] = (
                error.reason if isinstance(error, LabelError) else MALFORMED_LABELS
            )
            return
        fingerprint = self._fingerprint(block)
        if self.directory.is_known(fingerprint):
            self._budget.give_back(1)
        elif self._room() == 0:
            self._budget.give_back(1)
            newcomers.refused[index] = SERIES_MAX
            return
        else:
            self.directory.announce(np.array([fingerprint], np.uint64))
            newcomers.fingerprints.append(fingerprint)
            newcomers.blocks.append(block)
        self._alias(part, index, fingerprint)

    def _canonical(self, body: U8, part: WriteSlice, index: int) -> bytes:
        start, end = part.spans[index].tolist()
        raw = body[start:end].tobytes()
        return canonical_block(
            label_bytes(raw) if part.irregular[index] else raw, self._label_limits
        )

    def _alias(self, part: WriteSlice, index: int, fingerprint: int) -> None:
        """Make a series resolve: for good under its key, or for this slice alone."""
        key = part.keys[index]
        if part.irregular[index]:
            part.keys[index] = fingerprint
        elif key != fingerprint and not self.directory.alias(int(key), fingerprint):
            part.keys[part.keys == key] = fingerprint

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
