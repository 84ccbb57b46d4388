"""The way back after a stop or a crash: newest whole snapshot, then the journal's tail."""

import logging
from dataclasses import dataclass
from pathlib import Path

from aiops.engine import EffectSink, RowSink, deliver
from aiops.errors import SnapshotError
from aiops.journal.base import Journal
from aiops.lifecycle.snapshot import discard_leftovers, read_newest
from aiops.pipeline import Core
from aiops.telemetry import log_event

_LOG = logging.getLogger(__name__)

PROGRESS_RECORDS = 2000
"""Chosen: a line of progress every second or so of replay."""

FILL_MAX = 100_000
"""Chosen: far more records than an operating system keeps from the disk; a wider gap means that
the journal was replaced."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at a start from elsewhere.

    `written_seq` is the position up to which the state store has effects already.
    """

    now_ms: int
    written_seq: int = 0


def recover(
    core: Core,
    journal: Journal,
    directory: Path,
    *,
    effects: EffectSink,
    rows: RowSink,
    known: Known,
) -> int:
    """Bring a fresh core to the end of the journal; return how many records were replayed.

    Effects and rows of replayed records are handed on again; the stores know what they have.

    Raises
    ------
    SnapshotError
        When the journal no longer has records that the newest usable snapshot needs, or there is
        no snapshot and it does not begin with the first record.
    """
    discard_leftovers(directory)
    found = read_newest(directory)
    if found is not None:
        core.restore(*found)
        log_event(_LOG, logging.INFO, "snapshot.restored", seq=core.applied_seq)
    n_records = _replay(core, journal, effects, rows)
    _check_whole(core, journal, known)
    end_seq = max(core.applied_seq, known.written_seq)
    if journal.last_seq() < end_seq:
        _fill(core, journal, end_seq, known.now_ms)
        n_records += _replay(core, journal, effects, rows)
    log_event(_LOG, logging.INFO, "journal.replayed", records=n_records, seq=core.applied_seq)
    return n_records


def _replay(core: Core, journal: Journal, effects: EffectSink, rows: RowSink) -> int:
    n_records = 0
    for record in journal.replay(core.applied_seq):
        if record.seq != core.applied_seq + 1:
            raise _gap(core, record.seq)
        deliver(record, core.apply(record), effects, rows)
        n_records += 1
        if n_records % PROGRESS_RECORDS == 0:
            log_event(_LOG, logging.INFO, "journal.replaying", records=n_records, seq=record.seq)
    return n_records


def _fill(core: Core, journal: Journal, end_seq: int, now_ms: int) -> None:
    """Make good for newest records lost although their results were durable already.

    A power cut with `sync: os` does that. Their numbers must not be given again: the stores would
    take new effects for repeats.
    """
    last_seq = journal.last_seq()
    log_event(_LOG, logging.WARNING, "journal.tail_lost", from_seq=last_seq + 1, to_seq=end_seq)
    is_gap_small = core.applied_seq - last_seq <= FILL_MAX
    first_seq = last_seq + 1 if is_gap_small else core.applied_seq + 1
    journal.fill(first_seq, end_seq, at_ms=now_ms)


def _check_whole(core: Core, journal: Journal, known: Known) -> None:
    if core.applied_seq < journal.last_seq():
        raise _gap(core, journal.last_seq() + 1)
    if core.applied_seq == 0 and known.written_seq > 0:
        raise SnapshotError(
            f"incidents are stored up to record {known.written_seq}, but journal and snapshots "
            "are gone: restore them, or start with an empty data_dir"
        )


def _gap(core: Core, seq: int) -> SnapshotError:
    return SnapshotError(
        f"the journal goes on at {seq}, the state ends at {core.applied_seq}: "
        "restore the missing snapshot, or start with an empty data_dir"
    )
