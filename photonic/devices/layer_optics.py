"""The blocks of a layer on ``K`` chips, brought to the units that products run in.

A layer is ``D × A`` tiles of ``rows × cols``. What the light adds to ``W·x`` enters the same
product as further features of x: ``√(1−x²)``, the quadrature of a modulator with finite extinction,
and a constant 1 for the receivers' offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from photonic.devices.base import Transfer
from photonic.devices.converters import Readout

# Realised weights nearer than this to a stored code, in LSB, are that code: what float64 loses in
# a decomposition must not decide ties that the integer reference knows how to break.
SNAP_LSB = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a layer's tiles.

    Attributes:
        matrix: ``(K, D·rows, features)``.
        sigma: constant noise of one conversion, a number or ``(D·rows, 1)``.
        variance: ``(K, D·rows, 2·cols)``: noise per light, and per squared light, of each channel.
    """

    matrix: Tensor
    sigma: float | Tensor
    variance: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptics:
    """A layer on ``K`` chips, ready for products.

    Attributes:
        columns: the tile columns.
        scale: factor behind the product; 1 where the matrices hold it.
        cols: channels of a tile.
        has_quadrature: whether ``√(1−x²)`` is among the features.
        has_offset: whether a constant 1 is.
    """

    columns: tuple[Column, ...]
    scale: float
    cols: int
    has_quadrature: bool
    has_offset: bool

    def chips(self, chosen: slice) -> LayerOptics:
        """The same layer on some of the chips."""
        columns = tuple(
            Column(
                matrix=c.matrix[chosen],
                sigma=c.sigma,
                variance=None if c.variance is None else c.variance[chosen],
            )
            for c in self.columns
        )
        return LayerOptics(
            columns=columns,
            scale=self.scale,
            cols=self.cols,
            has_quadrature=self.has_quadrature,
            has_offset=self.has_offset,
        )


def prepare(
    readout: Readout,
    transfer: Transfer,
    grid: tuple[int, int],
    gain: Tensor | float,
    *,
    dtype: torch.dtype = torch.float32,
    exact: bool = False,
) -> LayerOptics:
    """A layer's blocks as matrices from running inputs to running results.

    Args:
        readout: of the device.
        transfer: of the layer's ``D·A`` blocks, row by row.
        grid: ``(D, A)``.
        gain: electrical gain in front of the ADC.
        dtype: of the products.
        exact: where all three converters have bits, keep stored codes as integers and the gain
            behind the product, so that a result rounds as the integer reference's does.
    """
    to_y = gain / readout.y_unit
    weight_step = readout.weight_step
    if exact and weight_step is not None and transfer.quadrature is None:
        codes = transfer.matrix / weight_step
        near = codes.round()
        matrix = torch.where((codes - near).abs() < SNAP_LSB, near, codes)
        scale = float(gain) * weight_step * readout.x_unit / readout.y_unit
    else:
        matrix, scale = transfer.matrix * (to_y * readout.x_unit), 1.0
    features = [matrix]
    if transfer.quadrature is not None:
        features.append(transfer.quadrature * (to_y * readout.profile.input.full_scale))
    if transfer.offset is not None:
        features.append((transfer.offset * to_y)[..., None])
    chips = max(f.shape[0] for f in features)
    whole = torch.cat([f.expand(chips, *f.shape[1:]) for f in features], dim=-1).to(dtype)
    sigma = None
    if readout.is_noisy:
        sigma = _sigma(readout, transfer.scale * to_y).view(grid)
    variance = _variance(readout, transfer, to_y)
    columns = [
        Column(
            matrix=_stack(whole, grid, a),
            sigma=0.0 if sigma is None else _number_or_rows(sigma[:, a], matrix.shape[-2], dtype),
            variance=None if variance is None else _stack(variance.to(dtype), grid, a),
        )
        for a in range(grid[1])
    ]
    return LayerOptics(
        columns=tuple(columns),
        scale=scale,
        cols=matrix.shape[-1],
        has_quadrature=transfer.quadrature is not None,
        has_offset=transfer.offset is not None,
    )


def _stack(blocks: Tensor, grid: tuple[int, int], column: int) -> Tensor:
    """``(K, D·A, rows, features)`` → the tiles of one column below each other."""
    return blocks.unflatten(1, grid)[:, :, column].flatten(1, 2)


def _number_or_rows(sigma: Tensor, rows: int, dtype: torch.dtype) -> Tensor | float:
    """One number where all blocks have the same noise: it is then drawn in one go."""
    low, high = sigma.aminmax()
    if low == high:
        return float(low)
    return sigma.repeat_interleave(rows)[:, None].to(dtype)


def _sigma(readout: Readout, scale: Tensor) -> Tensor:
    """Constant noise of one conversion per block, ``(blocks,)``, in running results."""
    optics, noise_sigma = readout.optics, readout.profile.output.noise_sigma
    detections = 1 if readout.digital_difference else optics.detections
    detector = detections * (noise_sigma**2 + readout.receiver.constant)
    variance = detector * (optics.receiver_scale * scale.detach()) ** 2
    return (variance + readout.converter_sigma**2).sqrt()


def _variance(readout: Readout, transfer: Transfer, to_y: Tensor | float) -> Tensor | None:
    """Coefficients ``(K, blocks, rows, 2·cols)`` of the light and of its square, or ``None``."""
    receiver = readout.receiver
    if not receiver.depends_on_signal:
        return None
    matrix = transfer.matrix.detach()
    restored = readout.optics.receiver_scale * (to_y.detach() if isinstance(to_y, Tensor) else to_y)
    linear = torch.zeros_like(matrix)
    if transfer.power is not None:
        gain = (transfer.scale.detach() * restored)[:, None, None]
        linear = receiver.linear * gain**2 * transfer.power.detach().expand_as(matrix)
    square = receiver.square * (matrix * restored) ** 2
    return torch.cat([linear, square], dim=-1)
