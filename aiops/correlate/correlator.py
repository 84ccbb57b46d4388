"""The correlator: every signal finds its incident, every incident its end."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiops.config import CorrelateConfig
from aiops.correlate.group import Groups
from aiops.correlate.incident import Trigger, more_important
from aiops.correlate.register import Register
from aiops.correlate.severity import worst
from aiops.correlate.signal import Signal, alert_member_id, alert_signal, anomaly_signal, is_news
from aiops.correlate.state import Saved, read_state, write_state
from aiops.correlate.working import WorkingIncident, new_incident
from aiops.domain.action import ActionOutcome
from aiops.domain.alert import Alert
from aiops.domain.anomaly import AnomalyChange, AnomalyEvent
from aiops.domain.incident import Incident, IncidentChange, IncidentEventKind
from aiops.domain.records import AlertBatch, Command, CommandVerb

US = "aiops"

OUTCOMES_MAX = 64
"""Chosen: keys of outcomes that are known when they come again. Only the newest can: outcomes are
handed on one after the other, and a crash in between repeats the one under way."""

_TRIGGERS = {
    CommandVerb.ACKNOWLEDGE: Trigger.ACKNOWLEDGE,
    CommandVerb.RESOLVE: Trigger.RESOLVE,
}


@dataclass(slots=True)
class _Call:
    """One call from outside: its time, and what it changed about which incident."""

    now_ms: int
    events: dict[str, IncidentEventKind] = field(default_factory=dict)
    incidents: dict[str, WorkingIncident] = field(default_factory=dict)

    def note(self, incident: WorkingIncident, event: IncidentEventKind) -> None:
        known = self.events.get(incident.incident_id, event)
        self.events[incident.incident_id] = more_important(known, event)
        self.incidents[incident.incident_id] = incident
        incident.updated_ms = self.now_ms


class Correlator:
    """Groups anomalies and alerts into incidents and leads each through its life.

    Parameters
    ----------
    config
        Identities, spans and bounds.

    Notes
    -----
    Ids come from the journal position, so replay makes the same ones. An incident lives by
    `now_ms`, the journal's time; the signals' own times stay in the evidence. Each call returns at
    most one change per incident, with the most important event. About 20 us a signal, measured.

    An alert that was told resolved only once, while nobody listened, keeps its incident open until
    an operator resolves it: absence never means resolved.

    A vetoed anomaly opens no incident and is no evidence; an active incident it would have joined
    has a line about it.
    """

    def __init__(self, config: CorrelateConfig) -> None:
        self._config = config
        self._reset()

    def _reset(self) -> None:
        self.overflow_signals = 0
        self._groups = Groups(self._config)
        self._register = Register()
        self._seq = 0
        self._k_next = 0
        self._outcome_keys: deque[str] = deque(maxlen=OUTCOMES_MAX)

    def on_anomalies(
        self, events: Sequence[AnomalyEvent], *, seq: int, now_ms: int
    ) -> list[IncidentChange]:
        """Take openings and ends of anomalies from journal record `seq`; return what changed."""
        call = self._begin(now_ms, seq)
        for event in events:
            is_open = event.change is AnomalyChange.OPENED
            signal = anomaly_signal(event.anomaly, is_open=is_open)
            if event.anomaly.is_vetoed:
                self._mention(signal, call)
            else:
                self._route(signal, call)
        return self._finish(call)

    def on_alerts(self, batch: AlertBatch, *, seq: int, now_ms: int) -> list[IncidentChange]:
        """Take one delivery of alerts from journal record `seq`; repeats change nothing."""
        call = self._begin(now_ms, seq)
        for alert in batch.alerts:
            if self._is_news(alert):
                self._route(alert_signal(alert), call)
        return self._finish(call)

    def on_command(self, command: Command, *, now_ms: int) -> list[IncidentChange]:
        """Obey an operator; an unknown incident or one in the wrong state changes nothing."""
        call = _Call(now_ms)
        incident = self._register.get(command.incident_id)
        if incident is not None:
            trigger = _TRIGGERS[command.verb]
            event = self._step(incident, trigger, call, text=command.comment, actor=command.author)
            if event is IncidentEventKind.ACKNOWLEDGED:
                incident.acknowledged_by = command.author
        return self._finish(call)

    def on_outcome(self, outcome: ActionOutcome, *, now_ms: int) -> list[IncidentChange]:
        """Add what came of an action to its incident's time line, once however often it comes."""
        call = _Call(now_ms)
        if outcome.key in self._outcome_keys:
            return []
        self._outcome_keys.append(outcome.key)
        incident = self._register.get(outcome.incident_id)
        if incident is not None:
            text = f"{outcome.action}: {outcome.status.value}"
            text += f", {outcome.detail}" if outcome.detail else ""
            kind = IncidentEventKind.ACTION
            incident.note(kind, text, at_ms=now_ms, actor=outcome.playbook)
            call.note(incident, kind)
        return self._finish(call)

    def on_tick(self, *, now_ms: int) -> list[IncidentChange]:
        """Resolve incidents that stayed quiet, and forget those resolved long ago."""
        call = _Call(now_ms)
        quiet_ms = self._config.quiet_s * 1000
        for incident in self._register.quiet():
            if now_ms - incident.active_ms >= quiet_ms:
                text = f"no firing evidence for {self._config.quiet_s} s"
                self._step(incident, Trigger.QUIET, call, text=text)
        changes = self._finish(call)
        for incident in self._register.resolved():
            if not self._groups.is_reopenable(incident, now_ms):
                self._forget(incident)
        return changes

    def open_incidents(self) -> tuple[Incident, ...]:
        """Return the open and acknowledged incidents, oldest first."""
        names = self._config.labels
        return tuple(incident.freeze(names) for incident in self._register.open())

    def find(self, incident_id: str) -> Incident | None:
        """Return an incident that is open or was resolved within reopen_s."""
        incident = self._register.get(incident_id)
        return None if incident is None else incident.freeze(self._config.labels)

    def dump(self) -> bytes:
        """Return the complete state as versioned JSON."""
        incidents = tuple(self._register.all())
        position = (self._seq, self._k_next)
        saved = Saved(*position, self.overflow_signals, tuple(self._outcome_keys), incidents)
        return write_state(saved, self._config.labels)

    def load(self, state: bytes) -> None:
        """Replace the state by a dumped one.

        Raises
        ------
        SnapshotError
            When it is damaged or of another version; the present state then stays.
        """
        saved = read_state(state, members_max=self._config.members_max)
        self._reset()
        self._seq, self._k_next = saved.seq, saved.k_next
        self.overflow_signals = saved.overflow_signals
        self._outcome_keys.extend(saved.outcome_keys)
        for incident in saved.incidents:
            self._groups.restore(incident)
            self._register.file(incident)

    def _begin(self, now_ms: int, seq: int) -> _Call:
        # one record may bring several calls, and their ids must differ
        if seq != self._seq:
            self._seq, self._k_next = seq, 0
        return _Call(now_ms)

    def _finish(self, call: _Call) -> list[IncidentChange]:
        changes = []
        for incident_id, incident in call.incidents.items():
            self._register.file(incident)
            frozen = incident.freeze(self._config.labels)
            changes.append(IncidentChange(call.events[incident_id], frozen))
        for incident in self._register.surplus(self._config.incidents_open_max):
            self._forget(incident)
        return changes

    def _is_news(self, alert: Alert) -> bool:
        """Tell whether a delivered alert says anything we do not know; keep its newest wording."""
        member_id = alert_member_id(alert)
        home = self._groups.home(member_id)
        if home is None:
            return alert.is_firing
        known = home.alerts.kept.get(member_id)
        if known is None:
            return not alert.is_firing  # shed, but still counted as firing
        if alert.starts_at_ms == known.starts_at_ms and alert.is_firing == known.is_firing:
            home.refresh(alert, member_id)
        return is_news(alert, known)

    def _route(self, signal: Signal, call: _Call) -> None:
        home = self._groups.home(signal.member_id)
        if not signal.is_open:
            if home is not None:
                self._end(home, signal, call)
        elif home is not None and self._is_repeat(home, signal):
            self._update(home, signal, call)
        else:
            self._join(signal, call)

    def _mention(self, signal: Signal, call: _Call) -> None:
        """Tell of a vetoed anomaly where it would have belonged; it opens and prolongs nothing."""
        if not signal.is_open:
            return
        incident = self._groups.place(signal, call.now_ms, has_room=False).incident
        if incident is not None:
            kind = IncidentEventKind.ANOMALY_VETOED
            incident.note(kind, signal.line(), at_ms=signal.at_ms(call.now_ms))
            call.note(incident, kind)

    def _is_repeat(self, home: WorkingIncident, signal: Signal) -> bool:
        """Tell whether this is a newer version of an anomaly that never ended."""
        return not isinstance(signal.item, Alert) and home.has_open(signal.member_id)

    def _update(self, home: WorkingIncident, signal: Signal, call: _Call) -> None:
        if home.anomalies.kept.get(signal.member_id) == signal.item:
            return
        self._take(home, signal, call)
        call.note(home, signal.kind())

    def _end(self, home: WorkingIncident, signal: Signal, call: _Call) -> None:
        if not home.has_open(signal.member_id):
            return
        is_kept = home.has_kept(signal.member_id)
        self._groups.release(home, home.take(signal, call.now_ms))
        self._register.file(home)  # also for a shed one: it may have been the last that fired
        if is_kept:
            home.note(signal.kind(), signal.line(), at_ms=signal.at_ms(call.now_ms))
            call.note(home, signal.kind())

    def _join(self, signal: Signal, call: _Call) -> None:
        has_room = self._register.open_count() < self._config.incidents_open_max
        placement = self._groups.place(signal, call.now_ms, has_room=has_room)
        incident = placement.incident or self._open(signal, call, has_room=has_room)
        if self._step(incident, Trigger.SIGNAL, call, text=f"new evidence, {placement.reason}"):
            # severity only rises while open: a new episode starts from what fires now
            incident.severity = worst(signal.severity, incident.firing_severity())
        line = f"{signal.line()} ({placement.reason})"
        incident.note(signal.kind(), line, at_ms=signal.at_ms(call.now_ms))
        call.note(incident, signal.kind())
        self._groups.adopt(incident, signal, call.now_ms)
        self._take(incident, signal, call)

    def _open(self, signal: Signal, call: _Call, *, has_room: bool) -> WorkingIncident:
        """Return a new incident, or the overflow one where no more may be open."""
        self.overflow_signals += not has_room
        if not has_room and self._register.overflow is not None:
            return self._register.overflow
        members_max = self._config.members_max
        order = (self._seq, self._k_next)
        incident = new_incident(signal, order=order, now_ms=call.now_ms, members_max=members_max)
        self._k_next += 1
        incident.is_overflow = not has_room
        incident.note(IncidentEventKind.OPENED, signal.headline(), at_ms=call.now_ms)
        call.note(incident, IncidentEventKind.OPENED)
        self._register.file(incident)
        return incident

    def _step(
        self,
        incident: WorkingIncident,
        trigger: Trigger,
        call: _Call,
        *,
        text: str,
        actor: str = US,
    ) -> IncidentEventKind | None:
        """Move an incident on and tell of it, if the trigger has an effect on its state."""
        event = incident.step(trigger, call.now_ms)
        if event is not None:
            incident.note(event, text or event.value, at_ms=call.now_ms, actor=actor)
            call.note(incident, event)
            self._register.file(incident)
        return event

    def _take(self, incident: WorkingIncident, signal: Signal, call: _Call) -> None:
        self._groups.release(incident, incident.take(signal, call.now_ms))
        if not incident.is_open():
            return
        before = incident.severity
        if incident.raise_severity(incident.asked_severity(signal)):
            kind = IncidentEventKind.SEVERITY_RAISED
            text = f"from {before.value} to {incident.severity.value}"
            incident.note(kind, text, at_ms=call.now_ms)
            call.note(incident, kind)

    def _forget(self, incident: WorkingIncident) -> None:
        self._groups.forget(incident)
        self._register.remove(incident)
