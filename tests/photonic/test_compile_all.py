"""Compiling all kernels ahead of time knows every kernel that anything loads."""

from __future__ import annotations

import re
from pathlib import Path

from photonic.kernels.compile_all import PACKAGES, kernel_modules

ROOT = Path(__file__).parents[2]


def test_every_kernel_that_is_loaded_by_name_is_found():
    loaded = {
        name
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for name in re.findall(r'"([\w.]+_kernel)"', file.read_text(encoding="utf-8"))
    }
    assert loaded
    assert loaded <= set(kernel_modules())
