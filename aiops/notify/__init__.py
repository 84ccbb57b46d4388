"""Telling people about incidents.

In go changes of incidents and the configured receivers; out come messages, complete and fixed
when planned (`plan`). They are kept in the state store with the incident and delivered from there
(`outbox`, `receivers`): at least once, in order for each incident, with a key that lets the
receiver recognise a repetition.
"""
