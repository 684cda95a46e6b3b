"""Robustness sweeps: a grid of hardware values × many chips → scores per point and chip."""

from photonic.sweep.grid import GridPoint, grid_points
from photonic.sweep.job import SweepData
from photonic.sweep.points import SweepPoint, reference_score
from photonic.sweep.run import Resources, sweep

__all__ = [
    "GridPoint",
    "Resources",
    "SweepData",
    "SweepPoint",
    "grid_points",
    "reference_score",
    "sweep",
]
