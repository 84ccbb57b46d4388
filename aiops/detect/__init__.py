"""Samples in, scores and anomalies out.

A bank scores a batch of samples, each against its own series' past, on one scale: -log10 of the
probability that a normal sample is as unusual. The episode machine turns scores into anomalies
with onset, peak and end. A batch of n rows gives bit for bit what n batches of one row give;
state is bounded per series; nothing here reads the time, files or random numbers.
"""
