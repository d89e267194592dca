"""Systems of many samples are solved one after another: XLA's threads that solve them together wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
from adopter_panels import BLOCKS, panel
from strategies import run_panel

from engine.estimate import gradient
from engine.float64 import double_precision
from engine.infer import tested_fit

SOLVERS = {"lu", "svd", "triangular_solve", "cholesky", "qr", "eigh", "householder_product", "geqrf"}
PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from engine.estimate.gradient import in_turn
from engine.float64 import double_precision

def solved(matrix):
    smallest = jnp.linalg.svdvals(matrix)[-1]
    return jnp.where(smallest > 0, jnp.linalg.solve(matrix, matrix[0]), 0.0)

matrices = np.random.default_rng(0).normal(size=(250, 30, 30))
with double_precision():
    for _ in range(20):
        np.asarray(jax.jit(lambda samples: in_turn(solved, samples))(matrices))
print("solved")
"""


def test_two_threads_come_to_an_end() -> None:
    """With `jax.vmap` in place of `in_turn` this program ends on one thread of XLA, and never on two (jaxlib 0.10)."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "NPROC": "2"},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert ended.stdout == "solved\n"


def systems(jaxpr: Any) -> Iterator[Any]:
    """Every solver of a program, with the shapes of what it solves."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in SOLVERS:
            yield equation.primitive.name, equation.invars[0].aval.shape
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else [value]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from systems(inner)


@pytest.mark.parametrize(("module", "name"), [(gradient, "_derivatives"), (tested_fit, "_imputed")])
def test_no_solver_has_many_systems_at_once(monkeypatch: Any, module: Any, name: str) -> None:
    """Of leave-one-city-out values, and of draws, with their derivatives."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    function = getattr(module, name)

    def recorded(*arguments: Any, **options: Any) -> Any:
        calls.append((arguments, options))
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, recorded)
    blocks = {
        **BLOCKS,
        "outcome": {"synchronization": "output"},
        "model": {"estimator": "imputation", "window": [-2, 2], "errors": ["dyadic"]},
        "inference": {"permutation": {"reps": 5, "seed": 1}},
    }
    run_panel(panel({0: 2012, 1: 2013, 2: 2014, 3: 2014}), **blocks)
    (arguments, options), *_ = calls
    static = [place for place, argument in enumerate(arguments) if callable(argument)]
    with double_precision():
        program = jax.make_jaxpr(
            lambda *arrays: function(*(arguments[place] for place in static), *arrays, **options)
        )(*(np.asarray(argument) if isinstance(argument, np.ndarray) else argument
            for place, argument in enumerate(arguments) if place not in static))  # fmt: skip
    solvers = set(systems(program.jaxpr))
    assert {solver for solver, _ in solvers} >= {"lu", "svd"}
    assert [system for system in solvers if len(system[1]) > 2 and np.prod(system[1][:-2]) > 1] == []
