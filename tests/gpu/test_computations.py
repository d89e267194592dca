"""What `test_accelerator` compares can be computed at all, where no accelerator is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from computations import COMPUTATIONS


@pytest.mark.slow
def test_every_computation_gives_numbers(tmp_path: Path) -> None:
    script, path = Path(__file__).with_name("computations.py"), tmp_path / "arrays.npz"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, script, path], check=True, env=environment)
    with np.load(path) as arrays:
        sizes = dict.fromkeys(COMPUTATIONS, 0)
        for key, values in arrays.items():
            sizes[key.partition("|")[0]] += np.isfinite(np.asarray(values, dtype=float)).sum()
    assert [name for name, size in sizes.items() if size == 0] == []
