"""Worlds with a known truth, and the sender's side of the wire to push them with.

In go a seed and times; out come columns of samples, the faults hidden in them, and request
bodies as a Prometheus sender would make them. Nothing here does I/O or reads the time.
"""
