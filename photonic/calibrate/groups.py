"""Parts of a core that have nothing to do with each other, so that all are probed at once.

Knobs whose effects do not overlap can be moved in one programming and their effects told apart
(Curtis, Powell and Reid 1974). Where every knob acts on one element, as in a crossbar, two
programmings measure the whole Jacobian however large the core is, and each element is a problem of
its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from photonic.backends.settings_grid import Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """``G`` groups of ``P`` knobs, each of which moves ``E`` elements and no other group's.

    Attributes:
        knobs: places in the kind's array, flattened, ``(G, P)``.
        elements: places in the used part of the matrix, flattened, ``(G, E)``.
    """

    knobs: np.ndarray
    elements: np.ndarray

    @classmethod
    def of(cls, reach: Reach, shape: tuple[int, ...], used: tuple[int, int]) -> Groups:
        """Groups of a core.

        Args:
            reach: what of the matrix one knob moves.
            shape: of the kind's array, ``(..., rows, cols)`` unless a knob moves everything.
            used: rows and columns of the matrix that count, from the first on.
        """
        rows, cols = used
        array = np.arange(np.prod(shape)).reshape(shape)
        matrix = np.arange(rows * cols).reshape(rows, cols)
        match reach:
            case "element":
                inner = array[..., :rows, :cols].reshape(-1, rows * cols)
                return cls(knobs=inner.T, elements=matrix.reshape(-1, 1))
            case "row":
                inner = np.moveaxis(array, -2, 0)[:rows]
                return cls(knobs=inner.reshape(rows, -1), elements=matrix)
            case "core":
                return cls(knobs=array.reshape(1, -1), elements=matrix.reshape(1, -1))

    def knobs_of(self, array: np.ndarray) -> np.ndarray:
        """``(lanes, ...)`` settings → ``(lanes·G, P)``."""
        flat = array.reshape(len(array), -1)
        return flat[:, self.knobs].reshape(-1, self.knobs.shape[1])

    def settings_of(self, knobs: np.ndarray, array: np.ndarray) -> np.ndarray:
        """``array`` with these knobs ``(lanes·G, P)``, the others as they were."""
        flat = array.reshape(len(array), -1).copy()
        flat[:, self.knobs] = knobs.reshape(len(array), *self.knobs.shape)
        return flat.reshape(array.shape)

    def elements_of(self, matrices: np.ndarray) -> np.ndarray:
        """``(lanes, rows, cols)`` of the used part → ``(lanes·G, E)``."""
        flat = matrices.reshape(len(matrices), -1)
        return flat[:, self.elements].reshape(-1, self.elements.shape[1])

    def matrices_of(self, elements: np.ndarray, used: tuple[int, int]) -> np.ndarray:
        """Inverse of :meth:`elements_of`."""
        flat = np.empty((elements.size // self.elements.size, self.elements.size))
        flat[:, self.elements] = elements.reshape(len(flat), *self.elements.shape)
        return flat.reshape(-1, *used)
