"""Numba kernels over stored rows; nothing but kernels and their signatures."""
