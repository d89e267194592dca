"""On an accelerator: the same numbers as on the processor, nothing compiled twice, memory as the device has it.

Run where JAX sees a GPU: python -m pytest tests/gpu
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from computations import COMPUTATIONS

Arrays = dict[str, np.ndarray[Any, Any]]

needs_gpu = pytest.mark.skipif(
    jax.default_backend() != "gpu", reason=f"JAX sees no GPU: its devices are {jax.devices()}"
)
pytestmark = [pytest.mark.gpu, needs_gpu]

# Products are added in another order: a few units in the last place of the largest term. Random jobs have columns
# whose mean is up to 1e9 standard deviations, so that the last place of a term is worth 1e-7 of a deviation.
CLOSE, FAR_FROM_ZERO = 1e-9, 1e-6


@pytest.fixture(scope="session")
def on_processor(tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """All computations in a process that sees the processor alone."""
    path = tmp_path_factory.mktemp("processor") / "arrays.npz"
    script = Path(__file__).with_name("computations.py")
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, script, path], check=True, env=environment)
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_equals_the_processor(name: str, on_processor: Arrays) -> None:
    expected = {key: values for key, values in on_processor.items() if key.startswith(f"{name}|")}
    arrays = {f"{name}|{key}": values for key, values in COMPUTATIONS[name]().items()}
    assert arrays.keys() == expected.keys() != set()
    tolerance = FAR_FROM_ZERO if name.startswith("random") else CLOSE
    for key, values in arrays.items():
        np.testing.assert_allclose(values, expected[key], rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """Names of what JAX compiles meanwhile."""
    names: list[str] = []

    def listen(event: str, duration: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize(
    "name",
    [
        "whole panel",
        "event study with holes",
        "absorption of city x year, 10% missing",
        "matching",
        "draws of thirds",
        "Poisson, pair + one^year + other^year",
    ],
)
def test_nothing_is_compiled_twice(name: str, compilations: list[str]) -> None:
    """The first run compiles; another of the same shapes takes what is there."""
    COMPUTATIONS[name]()
    compilations.clear()
    COMPUTATIONS[name]()
    assert compilations == []


@pytest.mark.parametrize(
    "name",
    [
        "whole panel",
        "panel with holes",
        "Table 1",
        "effects beyond pair and year",
        "matching",
        "draws of thirds",
        "errors of near cities",
        "Poisson, pair + one^year + other^year",
        "random job 5",
    ],
)
def test_a_second_run_is_the_same_bits(name: str) -> None:
    first, second = COMPUTATIONS[name](), COMPUTATIONS[name]()
    for key, values in first.items():
        np.testing.assert_array_equal(second[key], values, err_msg=key)
