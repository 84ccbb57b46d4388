"""The way back after a stop or a crash: newest whole snapshot, then the journal's tail."""

import logging
from pathlib import Path

from aiops.domain.records import Record
from aiops.engine import EffectSink, RowSink, deliver
from aiops.errors import SnapshotError
from aiops.journal.base import Journal
from aiops.lifecycle.snapshot import read_newest
from aiops.pipeline import STATE_VERSION, Core
from aiops.telemetry import log_event

_LOG = logging.getLogger(__name__)

PROGRESS_RECORDS = 2000
"""Chosen: a line of progress every second or so of replay."""


def recover(
    core: Core, journal: Journal, directory: Path, *, effects: EffectSink, rows: RowSink
) -> int:
    """Bring a fresh core to the end of the journal; return how many records were replayed.

    Effects and rows of replayed records are handed on again; the stores know what they have.

    Raises
    ------
    SnapshotError
        When the only usable snapshot needs records that the journal no longer has.
    """
    found = read_newest(directory)
    if found is not None:
        arrays, facts = found
        if facts.get("state_version") != STATE_VERSION:
            raise SnapshotError(
                f"snapshot has state version {facts.get('state_version')}, this release reads "
                f"{STATE_VERSION}: start the release that wrote it, or move the snapshot away"
            )
        core.restore(arrays, facts)
        log_event(_LOG, logging.INFO, "snapshot.restored", seq=core.applied_seq)
    n_records = 0
    for record in journal.replay(core.applied_seq):
        _check_order(core, record)
        deliver(record, core.apply(record), effects, rows)
        n_records += 1
        if n_records % PROGRESS_RECORDS == 0:
            log_event(_LOG, logging.INFO, "journal.replaying", records=n_records, seq=record.seq)
    log_event(_LOG, logging.INFO, "journal.replayed", records=n_records, seq=core.applied_seq)
    return n_records


def _check_order(core: Core, record: Record) -> None:
    if core.applied_seq and record.seq != core.applied_seq + 1:
        raise SnapshotError(
            f"the journal goes on at {record.seq}, the state ends at {core.applied_seq}: "
            "restore the missing snapshot"
        )
