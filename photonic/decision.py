"""From logits to a decision: one rule for evaluation, export, simulation and streaming."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from photonic.errors import ConfigError


def softmax(logits: np.ndarray) -> np.ndarray:
    """Class probabilities along the last axis, in float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How a class is chosen.

    ``threshold``: two classes, class 1 when its softmax probability is ``≥ threshold``.
    ``argmax``: the largest logit after adding ``offsets`` (one per class); the first one on a tie.

    Raises:
        ConfigError: a threshold outside [0, 1], or offsets that do not match the classes.
    """

    kind: Literal["threshold", "argmax"]
    classes: tuple[str, ...]
    threshold: float | None = None
    offsets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("threshold", "argmax"):
            raise ConfigError(f"decision {self.kind!r}: threshold or argmax")
        if self.kind == "threshold":
            if len(self.classes) != 2:
                raise ConfigError(f"a threshold decides between 2 classes, not {self.classes}")
            if self.threshold is None or not 0.0 <= self.threshold <= 1.0:
                raise ConfigError(f"threshold {self.threshold}: must lie in [0, 1]")
        elif len(self.offsets) not in (0, len(self.classes)):
            raise ConfigError(f"{len(self.offsets)} offsets for {len(self.classes)} classes")

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Class index ``(...)`` for logits ``(..., classes)``."""
        if self.kind == "threshold":
            return self.from_probabilities(softmax(logits))
        return np.argmax(self._shifted(np.asarray(logits, dtype=np.float64)), axis=-1)

    def of_one(self, logits: Sequence[float]) -> int:
        """Class index of one sample, as a call with it gives, at a tenth of the time.

        Args:
            logits: one number per class.
        """
        if not all(map(math.isfinite, logits)):
            return int(self(np.asarray(logits)))
        if self.kind == "threshold" and self.threshold is not None:
            # softmax with the larger logit subtracted: one exponential is 1, the other this one.
            difference = logits[1] - logits[0]
            smaller = float(np.exp(-abs(difference)))
            return int((1.0 if difference >= 0.0 else smaller) / (1.0 + smaller) >= self.threshold)
        if self.offsets:
            logits = [a + b for a, b in zip(logits, self.offsets, strict=True)]
        return logits.index(max(logits))

    def from_probabilities(self, probabilities: np.ndarray) -> np.ndarray:
        """The same decision from saved softmax probabilities ``(..., classes)``."""
        if self.kind == "threshold":
            return (probabilities[..., 1] >= self.threshold).astype(np.int64)
        with np.errstate(divide="ignore"):
            return np.argmax(self._shifted(np.log(probabilities)), axis=-1)

    def _shifted(self, logits: np.ndarray) -> np.ndarray:
        return logits + np.asarray(self.offsets) if self.offsets else logits

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Decision:
        """Inverse of :meth:`to_dict`.

        Raises:
            ConfigError: missing or unknown fields.
        """
        try:
            return cls(
                **{
                    **data,
                    "classes": tuple(data["classes"]),
                    "offsets": tuple(data.get("offsets", ())),
                }
            )
        except (KeyError, TypeError) as error:
            raise ConfigError(f"decision {dict(data)}: {error}") from None
