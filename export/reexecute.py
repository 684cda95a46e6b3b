"""The deployed model re-executed from the files the chip gets, and from nothing else.

Codes come from ``layers/*_codes.npy``, scales from ``layers/index.json``, activations from
``tables/``; the order of the steps from ``program.json``. No weight is quantised and no function is
evaluated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.bundle import PROFILE, Bundle
from export.matrices import read_integer_layers
from export.tables import Table, read_tables
from photonic.errors import BundleError
from photonic.execute import IntegerArithmetic
from photonic.program import Activation


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
