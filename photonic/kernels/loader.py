"""Kernels that numba compiles, loaded when they are first needed."""

from __future__ import annotations

import importlib.util
from functools import cache
from types import ModuleType

import torch
from torch import Tensor


@cache
def compiled_kernel(module: str) -> ModuleType | None:
    """The kernels of a module, by its full name; None where numba is not installed.

    That takes half a second, or some seconds where they are not cached yet.
    """
    if importlib.util.find_spec("numba") is None:
        return None
    return importlib.import_module(module)


def kernel_for(module: str, *values: Tensor) -> ModuleType | None:
    """The kernels of a module where they can take these values: float32 on the CPU."""
    if all(x.device.type == "cpu" and x.dtype == torch.float32 for x in values):
        return compiled_kernel(module)
    return None
