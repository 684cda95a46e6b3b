"""Activation tables: the DAC code for every ADC code that can occur, enumerated.

Digital logic beside the chip holds an activation as such a table. The re-execution in NumPy looks
values up in it, and so does the quantised graph, unless :func:`needs_no_table` says that no
engine's tanh can give another code: a look-up costs a host ten times what a vector of tanh does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.formats import csv_bytes, read_csv
from photonic.errors import BundleError
from photonic.execute import IntegerLayer, activation_table
from photonic.profile import Converters
from photonic.program import Activation, Concat, Linear, Program, Unit, sources

COLUMNS = ("adc_code", "dac_code")
# How far an engine's tanh may lie from the right value and still be trusted with a table: 32 units
# in the last place of 1 in float32. Those of onnxruntime lie within 4.
TANH_ERROR = 2.0**-19


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """DAC codes of one activation step for the ADC codes ``low … low + len(codes) − 1``."""

    low: int
    codes: np.ndarray

    @property
    def high(self) -> int:
        """Highest ADC code in the table."""
        return self.low + len(self.codes) - 1

    def __call__(self, adc_codes: np.ndarray) -> np.ndarray:
        """DAC codes, same shape.

        Raises:
            IndexError: a code outside the table; no input of the program can make one.
        """
        index = np.asarray(adc_codes, dtype=np.int64) - self.low
        if index.size and index.min() < 0:
            raise IndexError(f"ADC code {index.min() + self.low} below the table's {self.low}")
        return self.codes[index]

    @classmethod
    def union(cls, tables: Sequence[Table]) -> Table:
        """One table for the codes of several of the same function; their ranges overlap."""
        low, high = min(t.low for t in tables), max(t.high for t in tables)
        codes = np.zeros(high - low + 1, dtype=tables[0].codes.dtype)
        for table in tables:
            codes[table.low - low : table.high - low + 1] = table.codes
        return cls(low=low, codes=codes)


def code_bounds(
    program: Program, layers: Mapping[str, IntegerLayer], converters: Converters
) -> dict[str, tuple[int, int]]:
    """Lowest and highest code that each value of the deployed model can take.

    A linear step sums one ADC code per tile and the bias, so its codes carry beyond the ADC's.
    """
    dac, adc = converters.dac, converters.adc
    on_dac = (dac.min_code, dac.max_code)
    bounds = {spec.name: on_dac for spec in program.inputs}
    for step in program.steps:
        read = [bounds[source] for source in sources(step)]
        match step:
            case Linear():
                layer = layers[step.layer]
                across = layer.tiles.shape[1]
                out = (
                    across * adc.min_code + int(layer.bias.min()),
                    across * adc.max_code + int(layer.bias.max()),
                )
            case Activation(kind="relu"):
                out = (max(read[0][0], 0), max(read[0][1], 0))
            case Activation() | Unit():
                out = on_dac
            case Concat():
                out = (min(low for low, _ in read), max(high for _, high in read))
            case _:
                out = read[0]
        bounds[step.out] = out
    return bounds


def needs_no_table(kind: str, table: Table, converters: Converters) -> bool:
    """Whether the function, computed in float32 and rounded, is sure to give the table's codes.

    The real numbers behind the ADC codes must be exact, and every tanh must lie further from a tie
    of the rounding than an engine can be wrong.
    """
    adc, dac = converters.adc, converters.dac
    if not is_power_of_two(adc.step) or max(-table.low, table.high) >= 2**24:
        return False
    if kind == "identity":
        return True
    codes = np.tanh(np.arange(table.low, table.high + 1) * adc.step) / dac.step
    from_tie = np.abs(codes - np.floor(codes) - 0.5)
    return bool(from_tie.min() > TANH_ERROR / dac.step)


def is_power_of_two(number: float) -> bool:
    """Whether scaling by ``number`` is exact."""
    return math.frexp(number)[0] == 0.5


def tables(
    program: Program, layers: Mapping[str, IntegerLayer], converters: Converters
) -> dict[str, Table]:
    """The table of every activation step but relu, by the name of the value it makes."""
    bounds = code_bounds(program, layers, converters)
    made = {}
    for step in program.steps:
        if isinstance(step, Activation) and step.kind != "relu":
            low, high = bounds[step.source]
            codes = activation_table(step.kind, np.arange(low, high + 1), converters)
            made[step.out] = Table(low=low, codes=codes)
    return made


def table_files(made: Mapping[str, Table]) -> dict[str, bytes]:
    """``tables/NAME.csv`` of each table, NAME being the value that the activation makes."""
    return {
        f"tables/{name}.csv": csv_bytes(
            np.stack([np.arange(table.low, table.high + 1), table.codes], axis=1), COLUMNS
        )
        for name, table in made.items()
    }


def read_tables(files: Mapping[str, bytes], program: Program) -> dict[str, Table]:
    """Inverse of :func:`table_files`, for the activation steps of ``program``.

    Raises:
        BundleError: a table is missing, damaged, empty or has gaps.
    """
    tables_read = {}
    for step in program.steps:
        if not isinstance(step, Activation) or step.kind == "relu":
            continue
        name = f"tables/{step.out}.csv"
        rows = read_csv(files, name, COLUMNS, np.int64)
        low = int(rows[0, 0])
        if not np.array_equal(rows[:, 0], np.arange(low, low + len(rows))):
            raise BundleError(f"{name}: ADC codes must ascend one by one")
        tables_read[step.out] = Table(low=low, codes=rows[:, 1])
    return tables_read
