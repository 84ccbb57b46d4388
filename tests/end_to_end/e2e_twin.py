"""The uninterrupted twin: the same core, fed with the same journal, never killed."""

import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aiops.app import external_url
from aiops.config import Config
from aiops.domain.action import Notification, PlannedAction
from aiops.domain.incident import Incident
from aiops.domain.records import Record
from aiops.journal.codec import decode_record
from aiops.lifecycle.snapshot import Arrays, read_newest
from aiops.notify.rules import receiver_rules
from aiops.pipeline import Core
from aiops.remediate.load import load_playbooks

TAP_INTERVAL_S = 0.05
"""The journal is trimmed behind the older of two snapshots, so for more than a second after its
last record was written: the tap sees every record."""


class JournalTap:
    """Copies records out of a running service's journal before they are trimmed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[tuple[int, bytes]] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tap", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def paused(self) -> threading.Lock:
        """Hold this while the service is down: a reader would share its recovery of the file."""
        return self._lock

    def take(self) -> None:
        """Copy what is new."""
        with self._lock:
            last_seq = self._rows[-1][0] if self._rows else 0
            db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=5.0)
            try:
                query = "SELECT seq, data FROM log WHERE seq > ? ORDER BY seq"
                self._rows += db.execute(query, (last_seq,)).fetchall()
            finally:
                db.close()

    def records(self) -> list[Record]:
        """Return every record since the first, in order and without a gap."""
        numbers = [seq for seq, _ in self._rows]
        assert numbers == list(range(1, len(numbers) + 1)), "the tap missed records"
        return [decode_record(seq, data) for seq, data in self._rows]

    def _run(self) -> None:
        while not self._is_over.wait(TAP_INTERVAL_S):
            self.take()


@dataclass(slots=True)
class Twin:
    """What the core made of a journal: incidents, messages and actions by id or key."""

    core: Core
    incidents: dict[str, Incident] = field(default_factory=dict)
    messages: dict[str, Notification] = field(default_factory=dict)
    actions: dict[str, PlannedAction] = field(default_factory=dict)

    def apply(self, records: list[Record]) -> None:
        for record in records:
            for effect in self.core.apply(record).effects:
                self.incidents[effect.incident.incident_id] = effect.incident
                self.messages.update({one.key: one for one in effect.notifications})
                self.actions.update({one.key: one for one in effect.actions})


def twin_of(config: Config) -> Twin:
    """Return a twin of a service with this configuration, nothing applied yet."""
    core = Core(
        config,
        receivers=receiver_rules(config.notify.receivers),
        playbooks=load_playbooks(config.remediate.playbooks),
        external_url=external_url(config),
    )
    return Twin(core)


def differing_arrays(core: Core, data_dir: Path) -> list[str]:
    """Return the names of state arrays whose bits differ between a core and the newest snapshot."""
    found = read_newest(data_dir)
    assert found is not None, "no snapshot"
    saved, facts = found
    live, expected_facts = core.state()
    assert facts["seq"] == expected_facts["seq"]
    assert saved.keys() == live.keys()
    return [name for name in live if not _is_same(live, saved, name)]


def _is_same(live: Arrays, saved: Arrays, name: str) -> bool:
    one, other = np.ascontiguousarray(live[name]), saved[name]
    return one.shape == other.shape and one.tobytes() == other.tobytes()
