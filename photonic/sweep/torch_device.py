"""Which torch device a sweep computes on."""

from __future__ import annotations

from photonic.errors import ConfigError


def torch_device(name: str) -> str:
    """``auto`` as CUDA where there is one, else the CPU; any other name, once it is known to work.

    Raises:
        ConfigError: no such device here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):
        raise ConfigError(
            f"device {name!r}: torch cannot compute there; use cpu"
            + (", cuda" if torch.cuda.is_available() else " (torch sees no CUDA device)")
        ) from None
    return name
