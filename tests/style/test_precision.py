"""Precision has one door, importing the engine configures nothing, and every test runs with strict promotion."""

from __future__ import annotations

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from engine_source import read_engine

from engine.float64 import double_precision

DOOR = "engine/float64.py"

IMPORTS = """
import importlib, os, pkgutil
import jax, numpy as np

import engine

def configuration():
    return dict(jax.config.values), np.geterr(), dict(os.environ)

before = configuration()
names = [module.name for module in pkgutil.walk_packages(engine.__path__, "engine.")]
for name in names:
    if name != "engine.__main__":
        importlib.import_module(name)
assert "engine.pairs.kernels" in names
assert configuration() == before
print(jax.config.jax_numpy_dtype_promotion, jax.config.jax_numpy_rank_promotion)
"""


def test_double_precision_has_one_door() -> None:
    """Neither `jax.enable_x64` nor its flag stands in another file."""
    files = [module.path for module in read_engine() if "enable_x64" in module.text]
    assert files == [DOOR]


def test_import_configures_nothing() -> None:
    """And a process that a test starts is as strict as the test."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["strict", "raise"]


def test_tests_run_with_strict_promotion() -> None:
    with double_precision():
        column, row, single = jnp.ones((3, 1)), jnp.ones(3), jnp.ones((3, 1), dtype=np.float32)
        with pytest.raises(ValueError, match="rank_promotion"):
            column + row
        with pytest.raises(ValueError, match="strict"):
            column + single
