"""All incidents the correlator knows, filed by what time may do to them."""

from collections.abc import Iterable

from aiops.correlate.working import WorkingIncident


class Register:
    """Incidents by id; those gone quiet and those resolved are found without a scan.

    Every list is in the order the incidents were opened: the sets inside have an order that a
    restart does not repeat.
    """

    def __init__(self) -> None:
        self.overflow: WorkingIncident | None = None
        self._incidents: dict[str, WorkingIncident] = {}
        self._quiet: set[str] = set()
        self._resolved: set[str] = set()

    def file(self, incident: WorkingIncident) -> None:
        """Put an incident where its state says it belongs."""
        incident_id = incident.incident_id
        self._incidents[incident_id] = incident
        self._quiet.discard(incident_id)
        self._resolved.discard(incident_id)
        if not incident.is_open():
            self._resolved.add(incident_id)
        elif not incident.is_firing():
            self._quiet.add(incident_id)
        if incident.is_overflow and (incident.is_open() or incident is self.overflow):
            self.overflow = incident if incident.is_open() else None

    def remove(self, incident: WorkingIncident) -> None:
        """Forget a resolved incident."""
        self._resolved.discard(incident.incident_id)
        del self._incidents[incident.incident_id]

    def get(self, incident_id: str) -> WorkingIncident | None:
        """Return an incident by id."""
        return self._incidents.get(incident_id)

    def open_count(self) -> int:
        """Return how many incidents are open, not counting the overflow one."""
        return len(self._incidents) - len(self._resolved) - (self.overflow is not None)

    def all(self) -> list[WorkingIncident]:
        """Return every incident."""
        return self._in_order(self._incidents)

    def open(self) -> list[WorkingIncident]:
        """Return incidents that are open or acknowledged."""
        return self._in_order(self._incidents.keys() - self._resolved)

    def quiet(self) -> list[WorkingIncident]:
        """Return open incidents of which all evidence has ended."""
        return self._in_order(self._quiet)

    def resolved(self) -> list[WorkingIncident]:
        """Return resolved incidents."""
        return self._in_order(self._resolved)

    def surplus(self, resolved_max: int) -> list[WorkingIncident]:
        """Return the longest resolved beyond the newest `resolved_max`."""
        n_surplus = len(self._resolved) - resolved_max
        if n_surplus <= 0:
            return []
        return sorted(self.resolved(), key=lambda incident: incident.resolved_ms)[:n_surplus]

    def _in_order(self, incident_ids: Iterable[str]) -> list[WorkingIncident]:
        found = [self._incidents[incident_id] for incident_id in incident_ids]
        return sorted(found, key=lambda incident: incident.order)
