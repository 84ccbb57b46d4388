"""An alert as Alertmanager knows it: labels, annotations, start, end, firing or resolved."""

from dataclasses import dataclass

from aiops.domain.labels import Labels, label_value

OWN_ALERTNAME = "AiopsIncident"
"""What our incidents are called in Alertmanager."""

INCIDENT_LABEL = "incident_id"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of one webhook delivery, judged by its own status.

    `ends_at_ms` is 0 for a firing alert. `fingerprint` is Alertmanager's 16 hex digits.
    """

    fingerprint: str
    labels: Labels
    annotations: Labels
    is_firing: bool
    starts_at_ms: int
    ends_at_ms: int
    generator_url: str = ""
    group_key: str = ""


def is_own_alert(labels: Labels) -> bool:
    """Tell whether these are the labels of an incident that we sent out as an alert.

    Alertmanager routes it back to us where all alerts go to our webhook. As evidence it would
    keep its own incident firing for ever, or open another one about it.
    """
    is_ours = label_value(labels, "alertname") == OWN_ALERTNAME
    return is_ours and label_value(labels, INCIDENT_LABEL) != ""
