"""The labels of an incident that receivers and playbooks match on."""

from aiops.domain.incident import Incident
from aiops.domain.labels import Labels, labels_from


def matched_labels(incident: Incident) -> Labels:
    """Return the incident's labels with `severity` and `state` as it has them now.

    The incident's own severity and state win over evidence labels of the same names: an alert's
    `severity` label says what one rule thought, not how urgent the incident is.
    """
    own = {"severity": incident.severity.value, "state": incident.state.value}
    return labels_from(dict(incident.labels) | own)
