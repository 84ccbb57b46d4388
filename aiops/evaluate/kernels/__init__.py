"""Compiled inner loops of the rival detectors: arrays in, arrays written, nothing else."""
