"""Golden test vectors of every matrix, so that a lab can check the chip one block at a time.

``vectors/NAME_in.csv`` holds what the DAC puts out: values ``x…`` and, with converters, codes.
``vectors/NAME_out.csv`` holds what is expected behind the gain: ``y…``, the product of the exact
matrix before any ADC, and ``code…``, the ADC codes of the stored (quantised) matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.formats import csv_bytes, read_csv
from export.matrices import BlockEntry
from photonic.execute import FloatArithmetic, IntegerArithmetic, execute
from photonic.profile import Converters
from photonic.program import Block, Linear, Program

NUM_REAL = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Test vectors of one block: inputs ``(n, cols)`` and expected outputs ``(n, rows)``."""

    x: np.ndarray
    x_codes: np.ndarray | None
    y: np.ndarray
    y_codes: np.ndarray | None


def golden_vectors(
    program: Program,
    blocks: tuple[Block, ...],
    deployed: IntegerArithmetic | None,
    inputs: Mapping[str, np.ndarray],
) -> dict[str, Vectors]:
    """Vectors of every block: up to 32 that occur on real ``inputs``, and ± each unit vector.

    Args:
        program: the model.
        blocks: its blocks.
        deployed: the program in codes; ``None`` for a profile without converters.
        inputs: real program inputs.
    """
    arithmetic = deployed or FloatArithmetic(layers=program.layers)
    seen = _inputs_of_layers(program, execute(inputs, program.steps, arithmetic))
    real = {
        block.name: _real(seen[block.layer], block.col * block.matrix.shape[1], block.matrix)
        for block in blocks
    }
    if deployed is None:
        return {block.name: _float_vectors(block, real[block.name]) for block in blocks}
    return {block.name: _code_vectors(block, real[block.name], deployed) for block in blocks}


def _float_vectors(block: Block, real: np.ndarray) -> Vectors:
    x = np.concatenate([real, _units(block)])
    y = expected_values(block.matrix, block.gain, x)
    return Vectors(x=x, x_codes=None, y=y, y_codes=None)


def _code_vectors(block: Block, real: np.ndarray, deployed: IntegerArithmetic) -> Vectors:
    dac, layer = deployed.converters.dac, deployed.layers[block.layer]
    codes = np.concatenate([real, dac.max_code * _units(block)])
    tile = layer.tiles[block.row, block.col]
    return Vectors(
        x=dac.values(codes),
        x_codes=codes,
        y=expected_values(block.matrix, block.gain, dac.values(codes)),
        y_codes=expected_codes(tile, layer.scale, codes, deployed.converters),
    )


def _units(block: Block) -> np.ndarray:
    unit = np.eye(block.matrix.shape[1], dtype=np.int64)
    return np.concatenate([unit, -unit])


def expected_values(matrix: np.ndarray, gain: float, x: np.ndarray) -> np.ndarray:
    """``gain · W·x`` in float64, ``(n, rows)``."""
    return gain * (x.astype(np.float64) @ matrix.astype(np.float64).T)


def expected_codes(
    tile: np.ndarray, scale: float, x_codes: np.ndarray, converters: Converters
) -> np.ndarray:
    """ADC codes of one tile of codes, ``(n, rows)``."""
    adc = converters.adc
    products = x_codes.astype(np.int64) @ tile.astype(np.int64).T
    return np.rint(products * scale).clip(adc.min_code, adc.max_code).astype(np.int64)


def _inputs_of_layers(program: Program, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    seen: dict[str, list[np.ndarray]] = {}
    for step in program.steps:
        if isinstance(step, Linear):
            x = values[step.source]
            seen.setdefault(step.layer, []).append(x.reshape(-1, x.shape[-1]))
    return {name: np.concatenate(parts) for name, parts in seen.items()}


def _real(vectors: np.ndarray, first: int, matrix: np.ndarray) -> np.ndarray:
    """Different vectors as the tile sees them, spread evenly over those that occur."""
    cols = matrix.shape[1]
    part = vectors[:, first : first + cols]
    different = np.unique(np.pad(part, [(0, 0), (0, cols - part.shape[1])]), axis=0)
    chosen = np.linspace(0, len(different) - 1, min(NUM_REAL, len(different)))
    return different[chosen.astype(np.int64)]


def vector_files(made: Mapping[str, Vectors]) -> dict[str, bytes]:
    """Two CSV files per block."""
    files = {}
    for name, vectors in made.items():
        for end, letter, values, codes in (
            ("in", "x", vectors.x, vectors.x_codes),
            ("out", "y", vectors.y, vectors.y_codes),
        ):
            header = _columns(letter, values.shape[1], codes is not None)
            rows = [
                [*value, *(() if codes is None else codes[i])] for i, value in enumerate(values)
            ]
            files[f"vectors/{name}_{end}.csv"] = csv_bytes(rows, header)
    return files


def read_vectors(files: Mapping[str, bytes], block: BlockEntry, *, quantized: bool) -> Vectors:
    """Inverse of :func:`vector_files` for one block.

    Raises:
        BundleError: a file is missing, damaged or has other columns.
    """
    x = read_csv(
        files, f"vectors/{block.name}_in.csv", _columns("x", block.cols, quantized), np.float64
    )
    y = read_csv(
        files, f"vectors/{block.name}_out.csv", _columns("y", block.rows, quantized), np.float64
    )
    return Vectors(
        x=x[:, : block.cols],
        x_codes=x[:, block.cols :].astype(np.int64) if quantized else None,
        y=y[:, : block.rows],
        y_codes=y[:, block.rows :].astype(np.int64) if quantized else None,
    )


def _columns(letter: str, width: int, quantized: bool) -> list[str]:
    names = [f"{letter}{i}" for i in range(width)]
    return names + ([f"code{i}" for i in range(width)] if quantized else [])
