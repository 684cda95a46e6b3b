"""What is compiled is kept on disk for as long as the code that it was made of."""

from __future__ import annotations

import importlib.util

from photonic.kernels import compiler

SOURCE = """
import numba
from photonic.kernels.compiler import compiled

@compiled(numba.float32[::1])
def double(values):
    for k in range(len(values)):
        values[k] *= 2
"""


def test_a_kernel_is_compiled_anew_when_shared_code_has_changed(tmp_path, monkeypatch):
    file = tmp_path / "some_kernel.py"
    file.write_text(SOURCE, encoding="utf-8")

    def compiles() -> bool:
        spec = importlib.util.spec_from_file_location("some_kernel", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return not module.double.stats.cache_hits

    assert compiles()
    assert not compiles()
    monkeypatch.setattr(compiler, "_digest_of_shared_code", lambda: "of other files")
    assert compiles()
    assert not compiles()
