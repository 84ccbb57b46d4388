"""Numba kernels over series state; nothing but kernels and their signatures."""
