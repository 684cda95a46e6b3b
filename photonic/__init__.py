"""Classifiers on photonic chips: constrained layers, programs of blocks, hardware profiles."""

from __future__ import annotations

from importlib.metadata import version as _version

__version__ = _version("photonic-deploy")
