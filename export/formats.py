"""The few file formats of a bundle, as bytes: JSON, CSV and NPY, written the same way every time.

Readers raise :class:`BundleError` with the file's name, whatever is wrong with the bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from photonic.errors import BundleError

ModelT = TypeVar("ModelT", bound=BaseModel)

# What NumPy's readers raise on bytes that are no array.
_NOT_AN_ARRAY = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def json_bytes(value: Any) -> bytes:
    """Indented JSON with a final newline."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def read_json(files: Mapping[str, bytes], name: str) -> Any:
    """Inverse of :func:`json_bytes`.

    Raises:
        BundleError: the file is missing or no JSON.
    """
    try:
        return json.loads(content(files, name))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{name}: not valid JSON: {error}") from None


def read_model(files: Mapping[str, bytes], name: str, model: type[ModelT]) -> ModelT:
    """A JSON file as a pydantic model.

    Raises:
        BundleError: the file is missing, no JSON, or does not fit; the first fault is told.
    """
    try:
        return model.model_validate_json(content(files, name))
    except ValidationError as error:
        raise BundleError(f"{name}: {first_fault(error)}") from None


def first_fault(error: ValidationError) -> str:
    """Where a model does not fit, and why: the first fault, and how many more there are."""
    faults = error.errors(include_url=False, include_input=False)
    where = ".".join(str(part) for part in faults[0]["loc"])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{where + ': ' if where else ''}{faults[0]['msg']}{more}"


def npy_bytes(array: np.ndarray) -> bytes:
    """One array without objects, as NPY."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_npy(
    files: Mapping[str, bytes], name: str, shape: tuple[int, ...], dtype: Any
) -> np.ndarray:
    """Inverse of :func:`npy_bytes`, with the shape and type the reader relies on.

    Raises:
        BundleError: the file is missing, damaged, or holds another shape or type.
    """
    try:
        array = np.load(io.BytesIO(content(files, name)), allow_pickle=False)
    except _NOT_AN_ARRAY as error:
        raise BundleError(f"{name}: not a NumPy array: {error}") from None
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        given = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise BundleError(f"{name}: {given}; it must be {np.dtype(dtype)} {shape}")
    return array


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays without objects, as an uncompressed NPZ (its time stamps are fixed by NumPy)."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_npz(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Inverse of :func:`npz_bytes`.

    Raises:
        BundleError: not an archive of arrays.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (*_NOT_AN_ARRAY, AttributeError, TypeError) as error:
        raise BundleError(f"{where}: not an archive of NumPy arrays: {error}") from None


def csv_bytes(rows: np.ndarray | Sequence[Sequence[Any]], header: Sequence[str] = ()) -> bytes:
    """Rows of numbers with the fewest digits that bring back the same number."""
    lines = [",".join(header)] if header else []
    lines += [",".join(str(number) for number in row) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def read_csv(
    files: Mapping[str, bytes], name: str, columns: Sequence[str] | int, dtype: Any
) -> np.ndarray:
    """Inverse of :func:`csv_bytes`: a matrix with these columns (named, or their number).

    Raises:
        BundleError: the file is missing, has other columns, or holds something else than numbers.
    """
    named = not isinstance(columns, int)
    try:
        lines = content(files, name).decode().splitlines()
        if named and (not lines or lines[0].split(",") != list(columns)):
            raise BundleError(f"{name}: the columns must be {','.join(columns)}")
        cells = [line.split(",") for line in lines[int(named) :]]
        # Through the type's own parser: float32 digits must not pass through float64.
        table = np.array([[np.dtype(dtype).type(cell) for cell in row] for row in cells], dtype)
    except (ValueError, UnicodeDecodeError) as error:
        raise (
            error
            if isinstance(error, BundleError)
            else BundleError(f"{name}: not a table of numbers: {error}")
        ) from None
    width = len(columns) if named else columns
    if table.ndim != 2 or table.shape[1] != width:
        raise BundleError(f"{name}: {table.shape} numbers; every row must have {width}")
    return table


def content(files: Mapping[str, bytes], name: str) -> bytes:
    """The bytes of one file of a bundle.

    Raises:
        BundleError: there is no such file.
    """
    try:
        return files[name]
    except KeyError:
        raise BundleError(f"{name}: missing from the bundle") from None
