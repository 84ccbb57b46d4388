"""Numba kernels that walk protocol bytes; nothing but kernels and their signatures."""
