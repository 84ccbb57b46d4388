"""Acting on incidents, guarded.

In go changes of incidents and playbooks; out come planned actions, each with its mode and reason
(`plan`, `guard`: pure decisions). They are kept in the state store with the incident and run from
there (`run`, `actions`): begun durably before the call, at most once, dry-run unless both the
config and the playbook say auto, and only against listed targets.
"""
