"""Workloads by name. A new one is one file here and one line below."""

from __future__ import annotations

from photonic.errors import ConfigError
from training.workloads.base import Dataset, Workload, task_of
from training.workloads.ecg import ECG

__all__ = ["Dataset", "Workload", "task_of", "workload", "workload_names"]

_WORKLOADS = {w.name: w for w in (ECG,)}


def workload(name: str) -> Workload:
    """The workload of this name.

    Raises:
        ConfigError: there is none; the known ones are listed.
    """
    if name not in _WORKLOADS:
        raise ConfigError(f"workload {name!r}: known are {', '.join(_WORKLOADS)}")
    return _WORKLOADS[name]


def workload_names() -> tuple[str, ...]:
    """Names that :func:`workload` knows."""
    return tuple(_WORKLOADS)
