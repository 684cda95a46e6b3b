"""Kernels on the CPU, compiled with numba where it is installed; torch does the same without."""
