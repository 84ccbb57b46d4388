"""Frozen records that the packages exchange: samples, anomalies, alerts, incidents, actions.

Control-plane records are immutable dataclasses with tuples inside; data-plane records are
columns. This package imports nothing of ours, does no I/O and holds no behaviour.
"""
