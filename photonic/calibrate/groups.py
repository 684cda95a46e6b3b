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
        moves: whether a knob of a group moves an element of it, ``(E, P)``.
        colours: knobs of one colour move no element in common, ``(P,)``, from 0 on.
    """

    knobs: np.ndarray
    elements: np.ndarray
    moves: np.ndarray
    colours: np.ndarray

    @classmethod
    def of(cls, reach: Reach, shape: tuple[int, ...], used: tuple[int, int]) -> Groups:
        """The smallest groups of a core.

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
                knobs = array[..., :rows, :cols].reshape(-1, rows * cols).T
                elements = matrix.reshape(-1, 1)
            case "row":
                knobs = np.moveaxis(array, -2, 0)[:rows].reshape(rows, -1)
                elements = matrix
            case "core":
                knobs, elements = array.reshape(1, -1), matrix.reshape(1, -1)
        return cls(
            knobs=knobs,
            elements=elements,
            moves=np.ones((elements.shape[1], knobs.shape[1]), dtype=bool),
            colours=np.arange(knobs.shape[1]),
        )

    def by_rows(self, cols: int) -> Groups:
        """The same knobs in groups of whole rows of ``cols`` elements, or larger ones."""
        joined = max(1, cols // self.elements.shape[1])
        return Groups(
            knobs=self.knobs.reshape(-1, joined * self.knobs.shape[1]),
            elements=self.elements.reshape(-1, joined * self.elements.shape[1]),
            moves=np.kron(np.eye(joined, dtype=bool), self.moves),
            colours=np.tile(self.colours, joined),
        )

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
