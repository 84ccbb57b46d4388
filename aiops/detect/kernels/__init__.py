"""Compiled inner loops: arrays in, arrays written, nothing allocated, nothing raised."""
