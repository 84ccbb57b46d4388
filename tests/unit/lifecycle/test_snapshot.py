"""Snapshots: written aside, checked when read, two generations."""

import json
import resource
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from aiops.errors import SnapshotError
from aiops.lifecycle.snapshot import (
    HEADER_BYTES_MAX,
    discard_leftovers,
    discard_snapshot,
    publish_snapshot,
    read_newest,
    read_snapshot,
    seq_of,
    snapshots_present,
    write_snapshot,
)

DTYPES = ["f8", "f4", "i8", "i4", "u8", "u4", "u2", "u1", "?"]


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    made = {f"kind.{dtype}": rng.integers(0, 2, (3, 5)).astype(dtype) for dtype in DTYPES}
    made["nan"] = np.array([np.nan, -0.0, np.inf, 5e-324])
    made["empty"] = np.empty((0, 4), np.int64)
    made["view"] = np.arange(40)[::3]
    return made


def published(directory: Path, seq: int, **facts) -> Path:
    path = write_snapshot(directory, seq, arrays(), {"seq": seq, **facts})
    publish_snapshot(path)
    return path.with_suffix(".safetensors")


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def assert_same(found) -> None:
    wanted = arrays()
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_arrays_and_facts_come_back(tmp_path):
    found, facts = read_snapshot(published(tmp_path, 7, state_version=1))
    assert_same(found)
    assert facts["seq"] == 7
    assert facts["state_version"] == 1


def test_arrays_that_come_back_may_be_written_to(tmp_path):
    found, _ = read_snapshot(published(tmp_path, 7))
    assert all(array.flags.writeable for array in found.values())


def test_any_safetensors_library_reads_the_file(tmp_path):
    assert_same(load_file(published(tmp_path, 7)))


def test_a_snapshot_does_not_count_before_it_is_published(tmp_path):
    path = write_snapshot(tmp_path, 7, arrays(), {})
    assert snapshots_present(tmp_path) == []
    assert read_newest(tmp_path) is None
    publish_snapshot(path)
    assert [seq_of(found) for found in snapshots_present(tmp_path)] == [7]


def test_two_generations_are_kept_newest_first(tmp_path):
    for seq in (5, 60, 700):
        published(tmp_path, seq)
    assert [seq_of(path) for path in snapshots_present(tmp_path)] == [700, 60]
    assert len(names(tmp_path)) == 4  # each with its checksum


def test_a_snapshot_at_the_same_position_replaces_the_former(tmp_path):
    published(tmp_path, 7, mark="first")
    published(tmp_path, 7, mark="second")
    found = read_newest(tmp_path)
    assert found is not None and found[1]["mark"] == "second"
    assert len(names(tmp_path)) == 2


def test_every_damaged_byte_is_noticed(tmp_path):
    path = published(tmp_path, 7)
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(bytes(damaged))
        with pytest.raises(SnapshotError):
            read_snapshot(path)


@pytest.mark.parametrize("n_bytes", [0, 4, 8, 100, 1000])
def test_a_file_cut_short_is_refused(tmp_path, n_bytes):
    path = published(tmp_path, 7)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(SnapshotError):
        read_snapshot(path)


@pytest.mark.parametrize("text", ["", "zzzz", "00000000", "\udcff"])
def test_a_wrong_checksum_file_is_refused(tmp_path, text):
    path = published(tmp_path, 7)
    path.with_suffix(".crc32").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SnapshotError):
        read_snapshot(path)


def test_a_snapshot_without_its_checksum_is_refused(tmp_path):
    path = published(tmp_path, 7)
    path.with_suffix(".crc32").unlink()
    with pytest.raises(SnapshotError):
        read_snapshot(path)


def test_the_older_generation_serves_when_the_newest_is_damaged(tmp_path):
    published(tmp_path, 60)
    newest = published(tmp_path, 700)
    newest.write_bytes(newest.read_bytes()[:-1])
    found = read_newest(tmp_path)
    assert found is not None and found[1]["seq"] == 60


def test_none_is_found_when_all_are_damaged(tmp_path):
    for seq in (60, 700):
        published(tmp_path, seq).write_bytes(b"")
    assert read_newest(tmp_path) is None


def forged(directory: Path, header: bytes, *, length: int | None = None, data: bytes = b"") -> Path:
    """Return a snapshot with a valid checksum, as somebody who means harm would make it."""
    path = directory / f"snapshot-{9:020d}.safetensors"
    length = len(header) if length is None else length
    path.write_bytes(length.to_bytes(8, "little") + header + data)
    path.with_suffix(".crc32").write_text(f"{zlib.crc32(header, zlib.crc32(data)):08x}\n")
    return path


def tensor_header(shape: list[int], offsets: list[int], dtype: str = "F64") -> bytes:
    entry = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    fields = {"__metadata__": {"facts": "{}"}, "a": entry}
    return json.dumps(fields).encode()


HOSTILE_HEADERS = {
    "huge shape": tensor_header([2**40], [0, 2**43]),
    "huge shape, no data": tensor_header([2**40], [0, 0]),
    "shape that overflows": tensor_header([2**33, 2**33], [0, 8]),
    "data beyond the file": tensor_header([1], [2**50, 2**50 + 8]),
    "backward offsets": tensor_header([1], [8, 0]),
    "unknown dtype": tensor_header([1], [0, 8], "PICKLE"),
    "no metadata": json.dumps({}).encode(),
    "facts that are no JSON": json.dumps({"__metadata__": {"facts": "{"}}).encode(),
    "no JSON": b"\x80\x04cos\nsystem\n",
    "deep JSON": b"[" * 100_000,
}


@pytest.mark.parametrize("header", HOSTILE_HEADERS.values(), ids=HOSTILE_HEADERS)
def test_a_hostile_header_is_refused_without_taking_memory(tmp_path, header):
    path = forged(tmp_path, header, data=bytes(8))
    before_kib = peak_kib()
    with pytest.raises(SnapshotError):
        read_snapshot(path)
    assert peak_kib() - before_kib < 64 * 1024


@pytest.mark.parametrize("length", [HEADER_BYTES_MAX + 1, 2**40, 2**63, 2**64 - 1])
def test_a_header_said_to_be_huge_is_not_read(tmp_path, length):
    path = forged(tmp_path, b"{}", length=length)
    before_kib = peak_kib()
    with pytest.raises(SnapshotError, match="header of"):
        read_snapshot(path)
    assert peak_kib() - before_kib < 64 * 1024


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_numpy_archive_is_refused(tmp_path):
    path = published(tmp_path, 7)
    with path.open("wb") as file:
        np.savez(file, a=np.arange(3))
    with pytest.raises(SnapshotError):
        read_snapshot(path)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    class Broken(dict):
        def values(self):
            yield np.arange(3)
            raise OSError("disk full")

    published(tmp_path, 5)
    before = names(tmp_path)
    with pytest.raises(OSError, match="disk full"):
        write_snapshot(tmp_path, 7, Broken(a=np.arange(3)), {})
    assert names(tmp_path) == before


def test_a_discarded_snapshot_leaves_nothing_behind(tmp_path):
    discard_snapshot(write_snapshot(tmp_path, 7, arrays(), {}))
    assert names(tmp_path) == []


def test_leftovers_of_a_crash_are_removed_and_nothing_else(tmp_path):
    published(tmp_path, 5)
    kept = names(tmp_path)
    write_snapshot(tmp_path, 7, arrays(), {})  # died before it was published
    (tmp_path / f"snapshot-{6:020d}.crc32").write_text("0")  # died between two renames
    for name in ("fingerprint.partial", "journal.db", "other.crc32"):
        (tmp_path / name).write_text("")
        kept.append(name)
    discard_leftovers(tmp_path)
    assert names(tmp_path) == sorted(kept)
