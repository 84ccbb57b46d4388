"""Anomalies and alerts to incidents: which signals are one disturbance, and how it goes on.

Signals, commands, outcomes and ticks go in with the time they were accepted; changed incidents
come out, at most one version of each a call. Pure and deterministic: the same inputs give the same
bytes, and a loaded state goes on as if it had never been saved. All that can grow has a bound.
"""

from aiops.correlate.correlator import Correlator

__all__ = ["Correlator"]
