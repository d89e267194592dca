"""Node-bootstrap draws on one device and on four virtual ones: the same draws, statistics equal to 1e-11."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import jax
import numpy as np
import pytest

from engine.infer import weighted as module
from engine.infer.draws import resampled_counts
from engine.infer.weighted import weighted_fit
from engine.stages.inference import pass_inputs

REPS = 24  # six a device


def draws() -> dict[str, np.ndarray[Any, Any]]:
    done = worlds.first_pass(worlds.panel(holes=True))
    counts = resampled_counts(11, np.arange(REPS, dtype=np.int32), len(done.units))
    with jax.enable_x64(True):
        cell = pass_inputs.tested_of(done.prepared, done.results[0], None)
        _, estimate, variance = weighted_fit(
            pass_inputs.typed_pairs(done.prepared).sorted(), counts, cell, studentise=True
        )
    return {"counts": counts, "estimate": estimate, "variance": variance}


def traced() -> dict[str, np.ndarray[Any, Any]]:
    """`draws` with the devices of every array that a kernel adds to, and whether it is split over them."""
    kernels = {name: getattr(module, name) for name in ("_add_products", "_add_influences")}
    split: dict[str, list[int]] = {name: [] for name in kernels}
    for name, kernel in kernels.items():

        def spied(*arguments: Any, name: str = name, kernel: Any = kernel) -> Any:
            out = kernel(*arguments)
            for part in jax.tree.leaves(out):
                split[name].append(1 if part.sharding.is_fully_replicated else len(part.sharding.device_set))
            return out

        setattr(module, name, spied)
    found = draws()
    return {**found, **{name: np.array(devices) for name, devices in split.items()}}


@pytest.mark.parametrize("devices", [4])
def test_devices_share_the_draws_and_change_none(devices: int, tmp_path: Path) -> None:
    path = tmp_path / "draws.npz"
    flags = f"--xla_force_host_platform_device_count={devices}"
    tests = os.pathsep.join(
        str(folder) for folder in Path(__file__).parents[1:3]
    )  # and the engine beside them
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": tests}
    subprocess.run([sys.executable, __file__, str(path)], env=environment, check=True)
    with np.load(path) as file:
        found = dict(file)
    for name in ("_add_products", "_add_influences"):
        assert set(found[name].tolist()) == {devices}
    expected = draws()
    np.testing.assert_array_equal(found["counts"], expected["counts"])
    assert np.isfinite(expected["variance"]).sum() >= REPS / 2
    for name in ("estimate", "variance"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-11)  # issue 3, line 6


if __name__ == "__main__":
    np.savez(sys.argv[1], **traced())  # type: ignore[arg-type]
