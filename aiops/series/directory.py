"""The edge's directory: which series were announced, under which keys their senders hash them."""

from dataclasses import dataclass

import numpy as np

from aiops.domain.samples import I64, U64
from aiops.series.u64_map import MISSING, U64Map


@dataclass(slots=True)
class NewSeriesBudget:
    """Token bucket over series that may be created; time is passed in.

    Parameters
    ----------
    per_s, burst
        Refill rate and size of the bucket, in series.
    """

    per_s: float
    burst: float
    _tokens: float = -1.0
    _at_s: float = 0.0

    def take(self, n_wanted: int, now_s: float) -> int:
        """Return how many of `n_wanted` may be created now, and count them as created."""
        if self._tokens < 0:
            self._tokens, self._at_s = self.burst, now_s
        elapsed_s = max(0.0, now_s - self._at_s)
        self._tokens = min(self.burst, self._tokens + elapsed_s * self.per_s)
        self._at_s = now_s
        n_granted = min(n_wanted, int(self._tokens))
        self._tokens -= n_granted
        return n_granted

    def give_back(self, n_not_created: int) -> None:
        """Return tokens that were taken and not used."""
        self._tokens = min(self.burst, self._tokens + n_not_created)


class SeriesDirectory:
    """Maps wire keys to fingerprints; owned by the event loop, which is its only writer.

    A key is the hash of a label block as a sender encodes it, a fingerprint the hash of the
    canonical block. Both hashes are the same function, so a canonical sender's key *is* its
    fingerprint, and every fingerprint is entered as a key for itself.

    Parameters
    ----------
    aliases_max
        Keys beside the fingerprints; each order of a series' labels is one.
    """

    def __init__(self, *, aliases_max: int = 1_000_000) -> None:
        self._aliases_max = aliases_max
        self._fingerprints = U64Map()
        self._n_series = 0

    @property
    def n_series(self) -> int:
        """Series announced and not forgotten."""
        return self._n_series

    def resolve(self, keys: U64, fingerprints: U64) -> I64:
        """Write the fingerprint of each key; return the indices of keys not known (theirs: 0)."""
        if self._fingerprints.get(keys, fingerprints) == 0:
            return np.empty(0, np.int64)
        unknown = np.flatnonzero(fingerprints == np.uint64(MISSING))
        fingerprints[unknown] = 0
        return unknown

    def is_known(self, fingerprint: int) -> bool:
        """Tell whether a series was announced."""
        return self._fingerprints.get_one(fingerprint) != MISSING

    def announce(self, fingerprints: U64) -> None:
        """Enter canonical series."""
        self._n_series += self._fingerprints.put(fingerprints, fingerprints)

    def alias(self, key: int, fingerprint: int) -> bool:
        """Enter another key under which a sender names a known series; tell whether it fitted."""
        if len(self._fingerprints) - self._n_series >= self._aliases_max:
            return False
        self._fingerprints.put(np.array([key], np.uint64), np.array([fingerprint], np.uint64))
        return True

    def forget(self, fingerprints: U64) -> None:
        """Remove series with all their aliases; they are unknown from now on."""
        keys, values = self._fingerprints.entries()
        doomed = keys[np.isin(values, fingerprints)]
        self._n_series -= int(np.isin(doomed, fingerprints).sum())
        self._fingerprints.drop(doomed)
