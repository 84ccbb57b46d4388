"""Which incident a signal belongs to, and why.

A signal known by its id stays where it is. A newcomer joins the active incident with which it
shares the strongest of the configured labels, else it reopens one resolved a short while ago, else
it opens its own. A signal that carries none of those labels is grouped by its whole label set.
Cost: one look-up per configured label, however many incidents there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from aiops.config import CorrelateConfig
from aiops.correlate.signal import Signal
from aiops.correlate.wording import shorten
from aiops.correlate.working import Identity, WorkingIncident
from aiops.domain.labels import Labels, format_series, label_value, without_name

IDENTITIES_MAX = 1000
"""Chosen: identities one incident answers to; what joins beyond them does not attract others."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a signal belongs; no incident means it opens its own. `reason` is a sentence part."""

    incident: WorkingIncident | None
    reason: str


def identities_of(labels: Labels, names: tuple[str, ...]) -> tuple[Identity, ...]:
    """Return the pairs that tie this signal to others, strongest first; never empty."""
    found = [(name, label_value(labels, name)) for name in names]
    carried = tuple(pair for pair in found if pair[1] != "")
    return carried or (("", format_series(without_name(labels))),)


class Groups:
    """Finds the incident of a signal by member id and by identity.

    Parameters
    ----------
    config
        The labels in order, and the spans within which signals join and reopen.
    """

    def __init__(self, config: CorrelateConfig) -> None:
        self._names = config.labels
        self._window_ms = config.window_s * 1000
        self._reopen_ms = config.reopen_s * 1000
        self._homes: dict[str, WorkingIncident] = {}
        self._owners: dict[Identity, WorkingIncident] = {}

    def home(self, member_id: str) -> WorkingIncident | None:
        """Return the incident that knows this anomaly or alert."""
        return self._homes.get(member_id)

    def place(self, signal: Signal, now_ms: int, *, has_room: bool) -> Placement:
        """Return where a firing signal belongs; without room nothing resolved is reopened."""
        home = self._homes.get(signal.member_id)
        if home is not None and home.is_open():
            return Placement(home, "seen here before")
        if home is not None and has_room and self.is_reopenable(home, now_ms):
            return Placement(home, "seen here before")
        owners = list(self._related(identities_of(signal.labels, self._names)))
        for key, owner in owners:
            if owner.is_active(now_ms, self._window_ms):
                return Placement(owner, _describe(key))
        for key, owner in owners if has_room else ():
            if self.is_reopenable(owner, now_ms):
                return Placement(owner, _describe(key))
        return Placement(None, "no active incident shares its labels")

    def _related(self, keys: tuple[Identity, ...]) -> Iterator[tuple[Identity, WorkingIncident]]:
        """Yield the incidents that share a pair with a signal, by the strongest pair first.

        An incident about another value of a stronger label is left out: two services that share
        only their `job` are two disturbances.
        """
        stronger: set[str] = set()
        for key in keys:
            owner = self._owners.get(key)
            if owner is not None and not any(name in stronger for name, _ in owner.identities):
                yield key, owner
            stronger.add(key[0])

    def is_reopenable(self, incident: WorkingIncident, now_ms: int) -> bool:
        """Tell whether an incident was resolved so recently that a signal reopens it."""
        is_recent = now_ms - incident.resolved_ms < self._reopen_ms
        return not incident.is_open() and not incident.is_overflow and is_recent

    def adopt(self, incident: WorkingIncident, signal: Signal, now_ms: int) -> None:
        """Note that a signal is at home in an incident and that its identities lead there."""
        former = self._homes.get(signal.member_id)
        if former is not None and former is not incident:
            former.move_out(signal.member_id)
        self._homes[signal.member_id] = incident
        if incident.is_overflow:
            return  # strangers share it; they must not attract others
        for key in identities_of(signal.labels, self._names):
            owner = self._owners.get(key)
            if owner is None or not owner.is_active(now_ms, self._window_ms):
                self._own(incident, key)

    def _own(self, incident: WorkingIncident, key: Identity) -> None:
        """Make an identity lead to an incident, and no longer to another."""
        if len(incident.identities) >= IDENTITIES_MAX and key not in incident.identities:
            return
        former = self._owners.get(key)
        if former is not None:
            former.identities.pop(key, None)
        self._owners[key] = incident
        incident.identities[key] = None

    def restore(self, incident: WorkingIncident) -> None:
        """Note members and identities of an incident that was saved."""
        for evidence in (incident.anomalies, incident.alerts):
            for member_id in (*evidence.kept, *evidence.open):
                self._homes[member_id] = incident
        for key in tuple(incident.identities):
            self._own(incident, key)

    def release(self, incident: WorkingIncident, member_ids: list[str]) -> None:
        """Forget members of an incident."""
        for member_id in member_ids:
            if self._homes.get(member_id) is incident:
                del self._homes[member_id]

    def forget(self, incident: WorkingIncident) -> None:
        """Forget an incident with all its members and identities."""
        for evidence in (incident.anomalies, incident.alerts):
            self.release(incident, [*evidence.kept, *evidence.open])
        for key in incident.identities:
            del self._owners[key]
        incident.identities.clear()


def _describe(key: Identity) -> str:
    return f"same {key[0]}={shorten(key[1], 80)}" if key[0] else "same labels"
