"""The device that these tests compute on: ``cuda``, or what ``PHOTONIC_TEST_DEVICE`` says.

``PHOTONIC_TEST_DEVICE=cpu pytest tests/gpu`` runs the same code where there is no GPU.
"""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> str:
    """Name of the torch device; the test is skipped where it is not there."""
    name = os.environ.get("PHOTONIC_TEST_DEVICE", "cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return name
