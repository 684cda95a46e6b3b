"""Every matrix the chip holds, as files that a lab can load: values, codes, bias, and an index.

A layer larger than the core is cut into blocks; ``layers/NAME.R.C.npy`` is the tile in row R and
column C of layer NAME, padded with zeros to the core's shape. The bias is digital and stands apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from export.formats import csv_bytes, json_bytes, npy_bytes, read_model, read_npy
from photonic.errors import BundleError
from photonic.execute import IntegerLayer, integer_layer
from photonic.profile import HardwareProfile
from photonic.program import Layer, Linear, Program, sources, tile, untile
from photonic.quantize import round_mantissa

INDEX = "layers/index.json"
Role = Literal["encoder", "hidden", "head"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BlockEntry(_Entry):
    """One matrix of the chip: its place in the layer and the part of it that is not padding."""

    name: str
    layer: str
    tile_row: int
    tile_col: int
    rows: int
    cols: int
    used_rows: int
    used_cols: int
    range: float
    gain: float
    scale: float | None
    role: Role
    applied_per_beat: int


class LayerEntry(_Entry):
    """One layer: ``gain · (W·x + b)``, cut into ``tiles_down × tiles_across`` blocks.

    ``programmed_gain`` is the gain with the significand of the amplifier, ``scale`` what one LSB of
    a product of codes is in ADC codes; both are absent where the profile has no converters.
    """

    name: str
    out: int
    fan_in: int
    tiles_down: int
    tiles_across: int
    gain: float
    programmed_gain: float | None
    scale: float | None
    role: Role
    applied_per_beat: int


class Index(_Entry):
    """``layers/index.json``: layers and blocks in execution order."""

    layers: tuple[LayerEntry, ...]
    blocks: tuple[BlockEntry, ...]


def index_of(program: Program, profile: HardwareProfile) -> Index:
    """What stands in the index for ``program`` on the core of ``profile``."""
    rows, cols = profile.core.rows, profile.core.cols
    converters = profile.converters()
    applied, roles = program.applied_per_beat(), layer_roles(program)
    layers, blocks = {}, []
    for layer in program.layers_in_order():
        out, fan_in = layer.matrix.shape
        codes = integer_layer(layer, converters) if converters else None
        layers[layer.name] = LayerEntry(
            name=layer.name,
            out=out,
            fan_in=fan_in,
            tiles_down=-(-out // rows),
            tiles_across=-(-fan_in // cols),
            gain=float(layer.gain),
            programmed_gain=converters and round_mantissa(layer.gain, converters.gain_bits),
            scale=codes and codes.scale,
            role=roles[layer.name],
            applied_per_beat=applied[layer.name],
        )
    for block in program.blocks(rows, cols):
        layer = layers[block.layer]
        blocks.append(
            BlockEntry(
                name=block.name,
                layer=block.layer,
                tile_row=block.row,
                tile_col=block.col,
                rows=rows,
                cols=cols,
                used_rows=min(rows, layer.out - block.row * rows),
                used_cols=min(cols, layer.fan_in - block.col * cols),
                range=profile.weight.full_scale,
                gain=layer.gain,
                scale=layer.scale,
                role=layer.role,
                applied_per_beat=block.applied_per_beat,
            )
        )
    return Index(layers=tuple(layers.values()), blocks=tuple(blocks))


def layer_roles(program: Program) -> dict[str, Role]:
    """``encoder`` reads inputs alone, ``head`` makes the logits, ``hidden`` is all between."""
    raw = {spec.name for spec in program.inputs}
    roles: dict[str, Role] = {}
    for step in program.steps:
        if isinstance(step, Linear):
            first = "encoder" if step.source in raw else "hidden"
            roles[step.layer] = "head" if step.out == program.output else first
        elif all(source in raw for source in sources(step)):
            raw.add(step.out)
    return roles


def layer_files(program: Program, profile: HardwareProfile) -> dict[str, bytes]:
    """All of ``layers/``: for each block and bias the values and, with converters, the codes."""
    index = index_of(program, profile)
    converters = profile.converters()
    files = {INDEX: json_bytes(index.model_dump(mode="json"))}
    for layer in program.layers_in_order():
        values = tile(layer.matrix.astype(np.float32), profile.core.rows, profile.core.cols)
        files |= _array_files(f"{layer.name}_bias", layer.bias.astype(np.float32)[None])
        codes = integer_layer(layer, converters) if converters else None
        if codes:
            files |= _array_files(f"{layer.name}_bias_codes", codes.bias.astype(np.int32)[None])
        for r, c in np.ndindex(values.shape[:2]):
            files |= _array_files(f"{layer.name}.{r}.{c}", values[r, c])
            if codes:
                tile_codes = codes.tiles[r, c].astype(np.int32)
                files |= _array_files(f"{layer.name}.{r}.{c}_codes", tile_codes)
    return files


def _array_files(name: str, array: np.ndarray) -> dict[str, bytes]:
    return {
        f"layers/{name}.csv": csv_bytes(array),
        f"layers/{name}.npy": npy_bytes(np.ascontiguousarray(array)),
    }


def read_index(files: Mapping[str, bytes]) -> Index:
    """``layers/index.json``.

    Raises:
        BundleError: missing, damaged, or not an index.
    """
    return read_model(files, INDEX, Index)


def read_layers(files: Mapping[str, bytes], index: Index) -> dict[str, Layer]:
    """The layers put together again from the values of their blocks.

    Raises:
        BundleError: a file is missing, damaged or of another shape than the index says.
    """
    layers = {}
    for entry in index.layers:
        tiles = _tiles(files, index, entry, "", np.float32)
        bias = read_npy(files, f"layers/{entry.name}_bias.npy", (1, entry.out), np.float32)
        layers[entry.name] = Layer(
            name=entry.name,
            matrix=untile(tiles, entry.out, entry.fan_in),
            bias=bias[0],
            gain=entry.gain,
        )
    return layers


def read_integer_layers(files: Mapping[str, bytes], index: Index) -> dict[str, IntegerLayer]:
    """The layers in codes, from the code files and the scale in the index.

    Raises:
        BundleError: as :func:`read_layers`, or a layer without codes.
    """
    layers = {}
    for entry in index.layers:
        if entry.scale is None:
            raise BundleError(f"{INDEX}: layer {entry.name!r} has no scale: no codes to read")
        tiles = _tiles(files, index, entry, "_codes", np.int32)
        name = f"layers/{entry.name}_bias_codes.npy"
        bias = read_npy(files, name, (1, entry.out), np.int32)
        layers[entry.name] = IntegerLayer(
            tiles=tiles.astype(np.int64),
            scale=entry.scale,
            bias=bias[0].astype(np.int64),
            out=entry.out,
            fan_in=entry.fan_in,
        )
    return layers


def _tiles(
    files: Mapping[str, bytes], index: Index, entry: LayerEntry, suffix: str, dtype: type
) -> np.ndarray:
    blocks = [block for block in index.blocks if block.layer == entry.name]
    shape = (blocks[0].rows, blocks[0].cols) if blocks else (0, 0)
    tiles = np.zeros((entry.tiles_down, entry.tiles_across, *shape), dtype=dtype)
    for r, c in np.ndindex(tiles.shape[:2]):
        tiles[r, c] = read_npy(files, f"layers/{entry.name}.{r}.{c}{suffix}.npy", shape, dtype)
    return tiles
