"""Do the files of a bundle say the same thing? What hashes cannot tell once they are recomputed.

Every number of a bundle stands there at least twice, in forms that are made from one another:
values and codes, CSV and NPY, vectors and matrices, tables and functions, settings and matrices,
manifest and graphs. Each function compares one pair of forms and names the file that departs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from export.bundle import PROFILE, REFERENCE, Bundle
from export.formats import read_csv, read_npy
from export.manifest import MANIFEST
from export.matrices import INDEX, Index, index_of, read_integer_layers
from export.settings import BlockSettings, dac_codes, read_settings, realise, relative_error
from export.tables import Table, read_tables, tables
from export.vectors import expected_codes, expected_values, read_vectors
from photonic.errors import BundleError, PhotonicError
from photonic.execute import integer_layer
from photonic.program import Program
from photonic.quantize import Quantizer

# Sums in float64 may be taken in another order elsewhere.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One contradiction: the file (and layer, where it is about one), and what is wrong."""

    file: str
    layer: str | None = None
    message: str


def consistency_faults(bundle: Bundle) -> list[Fault]:
    """Every contradiction between the files of ``bundle``; empty where all agree."""
    comparisons: list[Callable[[Bundle], Iterator[Fault]]] = [
        _manifest,
        _index,
        _layer_files,
        _settings,
        _vectors,
        _reference,
    ]
    if bundle.has_quantized:
        comparisons += [_codes, _tables]
    faults: list[Fault] = []
    for compare in comparisons:
        try:
            faults += compare(bundle)
        except PhotonicError as error:
            faults.append(Fault(file=str(error).partition(":")[0], message=str(error)))
    return list(dict.fromkeys(faults))


def _manifest(bundle: Bundle) -> Iterator[Fault]:
    """The manifest against the decision, the program and the profile."""
    manifest, program = bundle.manifest, bundle.program
    if bundle.decision.classes != manifest.classes:
        message = f"decision between {bundle.decision.classes}, classes {manifest.classes}"
        yield Fault(file=MANIFEST, message=message)
    if len(manifest.classes) != program.num_classes:
        message = f"{len(manifest.classes)} classes, the program gives {program.num_classes}"
        yield Fault(file=MANIFEST, message=message)
    listed = [(i.name, i.tokens, i.channels) for i in manifest.inputs]
    if listed != [(i.name, i.tokens, i.channels) for i in program.inputs]:
        yield Fault(file=MANIFEST, message="inputs are not those of program.json")
    for entry, summary in zip(bundle.index.layers, manifest.layers, strict=False):
        shape = (entry.name, entry.out, entry.fan_in, entry.applied_per_beat)
        if shape != (summary.name, summary.out, summary.fan_in, summary.applied_per_beat):
            message = f"layer {summary.name!r} is not as in {INDEX}"
            yield Fault(file=MANIFEST, layer=entry.name, message=message)
    if len(manifest.layers) != len(program.layers_in_order()):
        yield Fault(file=MANIFEST, message="the number of layers is not that of program.json")
    if (bundle.profile_hash, bundle.profile.name) != (manifest.profile.hash, manifest.profile.name):
        yield Fault(file=PROFILE, message=f"not the profile that {MANIFEST} names")
    if manifest.quantized != (bundle.converters is not None):
        yield Fault(file=PROFILE, message="converters do not match the files of the bundle")


def _index(bundle: Bundle) -> Iterator[Fault]:
    """``layers/index.json`` against what the program and the profile make it."""
    stored, expected = bundle.index, index_of(bundle.program, bundle.profile)
    for kind in ("layers", "blocks"):
        mine, right = getattr(stored, kind), getattr(expected, kind)
        if len(mine) != len(right):
            yield Fault(file=INDEX, message=f"{len(mine)} {kind}; the program has {len(right)}")
        for entry, wanted in zip(mine, right, strict=False):
            for key in type(entry).model_fields:
                given, right_value = getattr(entry, key), getattr(wanted, key)
                if given != right_value:
                    yield Fault(
                        file=INDEX,
                        layer=getattr(entry, "layer", entry.name),
                        message=f"{key} of {entry.name!r} is {given!r}, not {right_value!r}",
                    )


def _layer_files(bundle: Bundle) -> Iterator[Fault]:
    """Each CSV of ``layers/`` against the NPY of the same name; padding must be zero."""
    for layer, name, shape in _arrays(bundle.index):
        for suffix, dtype in _forms(bundle):
            stem = f"layers/{name}{suffix}"
            array = read_npy(bundle.files, f"{stem}.npy", shape, dtype)
            table = read_csv(bundle.files, f"{stem}.csv", shape[1], dtype)
            if not np.array_equal(array, table):
                message = f"not the numbers of {stem}.npy"
                yield Fault(file=f"{stem}.csv", layer=layer, message=message)
    for block in bundle.index.blocks:
        for suffix, dtype in _forms(bundle):
            name = f"layers/{block.name}{suffix}.npy"
            padded = read_npy(bundle.files, name, (block.rows, block.cols), dtype).copy()
            padded[: block.used_rows, : block.used_cols] = 0
            if padded.any():
                yield Fault(file=name, layer=block.layer, message="the padding is not zero")


def _arrays(index: Index) -> Iterator[tuple[str, str, tuple[int, int]]]:
    for block in index.blocks:
        yield block.layer, block.name, (block.rows, block.cols)
    for entry in index.layers:
        yield entry.name, f"{entry.name}_bias", (1, entry.out)


def _forms(bundle: Bundle) -> list[tuple[str, type]]:
    values: list[tuple[str, type]] = [("", np.float32)]
    return [*values, ("_codes", np.int32)] if bundle.has_quantized else values


def _codes(bundle: Bundle) -> Iterator[Fault]:
    """Stored codes and scale against the quantiser on the stored values."""
    converters = bundle.converters
    if converters is None:
        raise BundleError(f"{PROFILE}: no converters, but the bundle holds codes")
    stored = read_integer_layers(bundle.files, bundle.index)
    for name, layer in bundle.program.layers.items():
        right = integer_layer(layer, converters)
        for r, c in np.ndindex(right.tiles.shape[:2]):
            if not np.array_equal(stored[name].tiles[r, c], right.tiles[r, c]):
                file = f"layers/{name}.{r}.{c}_codes.npy"
                yield Fault(file=file, layer=name, message="not the codes of the stored values")
        if not np.array_equal(stored[name].bias, right.bias):
            file = f"layers/{name}_bias_codes.npy"
            yield Fault(file=file, layer=name, message="not the codes of the stored bias")
        if stored[name].scale != right.scale:
            message = f"scale {stored[name].scale!r} is not that of the gain, {right.scale!r}"
            yield Fault(file=INDEX, layer=name, message=message)


def _tables(bundle: Bundle) -> Iterator[Fault]:
    """Activation tables against the functions they hold."""
    converters = bundle.converters
    if converters is None:
        raise BundleError(f"{PROFILE}: no converters, but the bundle holds tables")
    layers = {n: integer_layer(x, converters) for n, x in bundle.program.layers.items()}
    right = tables(bundle.program, layers, converters)
    for name, stored in read_tables(bundle.files, bundle.program).items():
        message = _table_fault(stored, right[name], bundle.program, name, converters.dac)
        if message:
            yield Fault(file=f"tables/{name}.csv", layer=name, message=message)


def _table_fault(
    stored: Table, right: Table, program: Program, name: str, dac: Quantizer
) -> str | None:
    if (stored.low, stored.high) != (right.low, right.high):
        return f"covers {stored.low}…{stored.high}, codes go from {right.low} to {right.high}"
    wrong = np.flatnonzero(stored.codes != right.codes)
    if not len(wrong):
        return None
    first = int(wrong[0])
    kind = next(s for s in program.steps if s.out == name)
    return (
        f"{len(wrong)} entries are not those of {getattr(kind, 'kind', '?')} on {dac.bits} bits, "
        f"first ADC code {first + right.low}: {stored.codes[first]}, not {right.codes[first]}"
    )


def _vectors(bundle: Bundle) -> Iterator[Fault]:
    """Golden vectors against the matrices and codes they are said to come from."""
    converters, quantized = bundle.converters, bundle.has_quantized
    deployed = read_integer_layers(bundle.files, bundle.index) if quantized else {}
    core = bundle.profile.core
    for block in bundle.program.blocks(core.rows, core.cols):
        entry = next(b for b in bundle.index.blocks if b.name == block.name)
        stored = read_vectors(bundle.files, entry, quantized=quantized)
        stem = f"vectors/{block.name}"
        if len(stored.x) != len(stored.y):
            message = f"{len(stored.y)} rows for {len(stored.x)} inputs"
            yield Fault(file=f"{stem}_out.csv", layer=block.layer, message=message)
            continue
        expected = expected_values(block.matrix, block.gain, stored.x)
        if not np.allclose(stored.y, expected, rtol=ROUNDING, atol=ROUNDING):
            message = "outputs are not those of the matrix"
            yield Fault(file=f"{stem}_out.csv", layer=block.layer, message=message)
        if stored.x_codes is None or stored.y_codes is None or converters is None:
            continue
        if not np.array_equal(converters.dac.values(stored.x_codes), stored.x):
            message = "codes and values of the inputs differ"
            yield Fault(file=f"{stem}_in.csv", layer=block.layer, message=message)
        layer = deployed[block.layer]
        codes = expected_codes(
            layer.tiles[block.row, block.col], layer.scale, stored.x_codes, converters
        )
        if not np.array_equal(stored.y_codes, codes):
            message = "output codes are not those of the stored codes"
            yield Fault(file=f"{stem}_out.csv", layer=block.layer, message=message)


def _settings(bundle: Bundle) -> Iterator[Fault]:
    """Settings against what the device makes of them, and their error against the matrix."""
    core = bundle.profile.core
    blocks = bundle.program.blocks(core.rows, core.cols)
    stored = [read_settings(bundle.files, block.name) for block in blocks]
    for block, settings in zip(blocks, stored, strict=True):
        matrix = np.asarray(settings.realised, dtype=np.float64)
        file = f"settings/{block.name}.json"
        if matrix.shape != block.matrix.shape:
            message = f"realised {matrix.shape}, the core is {block.matrix.shape}"
            yield Fault(file=file, layer=block.layer, message=message)
            continue
        error = (float(np.linalg.norm(matrix - block.matrix)), relative_error(matrix, block.matrix))
        if not np.allclose(
            error, (settings.error_frobenius, settings.relative_error), rtol=1e-6, atol=ROUNDING
        ):
            message = "the stated error is not that of the realised matrix"
            yield Fault(file=file, layer=block.layer, message=message)
        if settings.dac_codes != dac_codes(settings.settings, bundle.profile):
            yield Fault(file=file, layer=block.layer, message="DAC codes are not of the settings")
    yield from _realised(bundle, stored)


def _realised(bundle: Bundle, stored: list[BlockSettings]) -> Iterator[Fault]:
    # The device models are torch modules; without the extra the stated matrices are all there is.
    try:
        matrices = realise(stored, bundle.profile)
    except ModuleNotFoundError:
        return
    for settings, matrix in zip(stored, matrices, strict=True):
        if not np.allclose(matrix, settings.realised, rtol=1e-6, atol=1e-6):
            yield Fault(
                file=f"settings/{settings.block}.json",
                layer=settings.block.split(".")[0],
                message="the settings do not realise the matrix that they state",
            )


def _reference(bundle: Bundle) -> Iterator[Fault]:
    """Decisions of the reference sample against its logits and the manifest's decision."""
    reference, converters = bundle.reference, bundle.converters
    if not np.array_equal(bundle.decision(reference.logits), reference.decisions):
        message = f"decisions are not those of the logits under the decision in {MANIFEST}"
        yield Fault(file=REFERENCE, message=message)
    stored = reference.quantized_decisions
    if reference.codes is not None and stored is not None and converters is not None:
        decisions = bundle.decision(converters.adc.values(reference.codes))
        if not np.array_equal(decisions, stored):
            message = f"decisions are not those of the codes under the decision in {MANIFEST}"
            yield Fault(file=REFERENCE, message=message)
