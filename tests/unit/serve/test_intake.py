import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.clock import ManualClock
from aiops.config import LimitsConfig
from aiops.serve.intake import Accepted, Intake
from aiops.wire.labels import decode_labels
from aiops.wire.remote_write import RemoteWriteDecoder
from tests.naive.wire import naive_block_hash
from tests.unit.wire.write_requests import NOW_MS, label, message, sample, series

SECRETS = [11, 22, 33, 44]


class Subject:
    """An intake with its decoder; keeps what it was told to journal."""

    def __init__(self, rows_per_slice: int = 1000, **limits: int) -> None:
        secrets = np.array(SECRETS, np.uint64)
        self.clock = ManualClock(NOW_MS)
        self.intake = Intake(LimitsConfig(**limits), secrets, self.clock)
        self.decoder = RemoteWriteDecoder(secrets, rows_per_slice=rows_per_slice)

    def accept(self, *parts: bytes) -> list[Accepted]:
        """Take one request, each slice of it kept."""
        body = np.frombuffer(b"".join(parts), np.uint8)
        taken = []
        for part in self.decoder.slices(body, future_ms=NOW_MS):
            taken.append(self.intake.accept(body, part))
            self.intake.confirm(taken[-1].batch)
        return taken


def named(n: int) -> list[tuple[str, str]]:
    return [("__name__", "m"), ("n", f"{n:03}"), ("z", "é" if n % 5 == 0 else "plain")]


SPELLINGS = ("sorted", "reversed", "split", "with empty", "padded")


def spelt(n: int, how: str) -> bytes:
    """One series with one sample, its labels written in one of the ways senders write them."""
    pairs = named(n)
    row = sample(NOW_MS - n, n)
    if how == "reversed":
        return series(pairs[::-1], row)
    if how == "split":
        return message(label(*pairs[1]), row, label(*pairs[0]), label(*pairs[2]))
    if how == "with empty":
        return series([*pairs, ("empty", "")], row)
    if how == "padded":
        first = label(*pairs[0])
        longer = first[:1] + bytes([first[1] | 0x80, 0]) + first[2:]
        return message(longer, *[label(*pair) for pair in pairs[1:]], row)
    return series(pairs, row)


spellings = st.tuples(st.integers(0, 12), st.sampled_from(SPELLINGS))
bad_rows = st.sampled_from(
    [
        series({"job": "x"}, sample(NOW_MS)),
        series({"__name__": "1"}, sample(NOW_MS), sample(NOW_MS)),
        series([("__name__", "m"), ("a", "1"), ("a", "2")], sample(NOW_MS)),
        message(sample(NOW_MS)),
    ]
)


def refused_rows(taken: list[Accepted]) -> int:
    return sum(sum(one.refused.values()) for one in taken)


@given(
    st.lists(st.lists(st.one_of(spellings, bad_rows), max_size=12), max_size=4),
    st.integers(2, 9),
    st.integers(1, 16),
)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_every_row_is_kept_under_its_canonical_name_or_counted(requests, rows_per_slice, room):
    subject = Subject(rows_per_slice, series_max=room)
    names: dict[int, dict[str, str]] = {}
    for request in requests:
        parts = [part if isinstance(part, bytes) else spelt(*part) for part in request]
        taken = subject.accept(*parts)
        for one in taken:
            blocks = zip(one.batch.new_fingerprints, one.batch.new_blocks, strict=True)
            for fingerprint, block in blocks:
                assert fingerprint == naive_block_hash(block, SECRETS)
                assert fingerprint not in names, "announced twice"
                names[fingerprint] = dict(decode_labels(block))
            for fingerprint, value in zip(
                one.batch.fingerprints.tolist(), one.batch.values.tolist(), strict=True
            ):
                assert names[fingerprint] == dict(named(int(value)))
        n_kept = sum(len(one.batch) for one in taken)
        assert n_kept + refused_rows(taken) == count_samples(parts)
    assert len(names) == subject.intake.directory.n_series <= room


def count_samples(parts: list[bytes]) -> int:
    """Return how many samples a request carries; each has one value field behind its length."""
    return sum(part.count(b"\x12\x10\x09") for part in parts)


def test_a_batch_owns_its_columns():
    subject = Subject()
    (first,) = subject.accept(*[spelt(n, "sorted") for n in range(5)])
    before = [column.copy() for column in (first.batch.fingerprints, first.batch.ts_ms)]
    subject.accept(*[spelt(n, "reversed") for n in range(6, 12)])
    assert first.batch.fingerprints.tolist() == before[0].tolist()
    assert first.batch.ts_ms.tolist() == before[1].tolist()
    columns = (first.batch.fingerprints, first.batch.ts_ms, first.batch.values)
    assert not any(np.shares_memory(column, subject.decoder._row_bits) for column in columns)


def test_a_sender_with_a_fixed_order_is_looked_at_once():
    """From the second request on its own key resolves, so that nothing is canonicalized."""
    subject = Subject(new_series_per_s=1, new_series_burst=10)
    parts = [spelt(n, "reversed") for n in range(10)]
    assert refused_rows(subject.accept(*parts)) == 0
    fingerprints = np.zeros(10, np.uint64)
    (part,) = subject.decoder.slices(np.frombuffer(b"".join(parts), np.uint8), future_ms=NOW_MS)
    assert len(subject.intake.directory.resolve(part.keys, fingerprints)) == 0


def test_series_forgotten_by_eviction_are_announced_again():
    subject = Subject()
    (first,) = subject.accept(spelt(1, "sorted"), spelt(2, "reversed"))
    subject.intake.directory.forget(np.array(first.batch.new_fingerprints, np.uint64))
    (again,) = subject.accept(spelt(1, "sorted"), spelt(2, "reversed"))
    assert again.batch.new_fingerprints == first.batch.new_fingerprints


def test_the_order_of_spellings_never_matters():
    wanted = None
    ways = [spelt(n, how) for n in range(4) for how in SPELLINGS]
    for seed in range(10):
        random.Random(seed).shuffle(ways)
        taken = Subject(rows_per_slice=3).accept(*ways)
        found = sorted(one for part in taken for one in part.batch.new_fingerprints)
        wanted = wanted or found
        assert found == wanted
    assert len(wanted) == 4
