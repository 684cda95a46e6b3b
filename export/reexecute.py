"""The deployed model re-executed from the files the chip gets, and from nothing else.

Codes come from ``layers/*_codes.npy`` or, as real numbers, from the matrices that ``settings/``
realise; scales from ``layers/index.json``, activations from ``tables/``; the order of steps from
``program.json``. No weight is quantised and no function is evaluated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from export.bundle import PROFILE, Bundle
from export.matrices import read_integer_layers
from export.settings import read_settings
from export.tables import Table, read_tables
from photonic.errors import BundleError
from photonic.execute import IntegerArithmetic
from photonic.program import Activation

ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class FileArithmetic(IntegerArithmetic):
    """Codes, with every activation looked up in the table of the step."""

    tables: Mapping[str, Table]

    def activation(self, step: Activation, x: np.ndarray) -> np.ndarray:
        if step.kind == "relu":
            return np.maximum(x, 0)
        return self.tables[step.out](x)


def file_arithmetic(bundle: Bundle) -> FileArithmetic:
    """The arithmetic of the bundle's own codes and tables.

    Raises:
        BundleError: a file is missing or damaged, or the profile has no converters.
    """
    converters = bundle.converters
    if converters is None:
        raise BundleError(f"{PROFILE}: profile {bundle.profile.name!r} has no converters")
    return FileArithmetic(
        layers=read_integer_layers(bundle.files, bundle.index),
        converters=converters,
        tables=read_tables(bundle.files, bundle.program),
    )


def settings_arithmetic(bundle: Bundle) -> FileArithmetic:
    """As :func:`file_arithmetic`, with the matrices of ``settings/`` in place of the codes.

    On a generic core these are the same numbers; what a mesh or a bank realises lies beside them.

    Raises:
        BundleError: as :func:`file_arithmetic`, or settings that are missing or damaged.
    """
    stored = file_arithmetic(bundle)
    step = stored.converters.weight.step
    layers = {}
    for name, layer in stored.layers.items():
        tiles = np.zeros(layer.tiles.shape)
        for r, c in np.ndindex(tiles.shape[:2]):
            settings = read_settings(bundle.files, f"{name}.{r}.{c}")
            matrix = np.array(settings.realised)
            if matrix.shape != tiles.shape[2:]:
                raise BundleError(f"settings/{settings.block}.json: realised {matrix.shape}")
            tiles[r, c] = snapped(matrix / step)
        layers[name] = replace(layer, tiles=tiles)
    return replace(stored, layers=layers)


def snapped(codes: np.ndarray) -> np.ndarray:
    """Codes that miss a whole number by a rounding of the optics' float64, made whole.

    Products of whole codes often lie on a tie, where 1e-16 would decide.
    """
    whole = np.rint(codes)
    return np.where(np.abs(codes - whole) < ROUNDING, whole, codes)
