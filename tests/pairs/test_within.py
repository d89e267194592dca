"""Deviations and products by plain NumPy, and what it takes to compile them for many columns."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.pairs.moments import Layout
from engine.pairs.within import column_products, demean


@pytest.mark.parametrize("n_columns", [3, 12, 13, 30])
def test_products_of_few_and_many_columns(n_columns: int) -> None:
    rng = np.random.default_rng(n_columns)
    one, other = rng.normal(size=(2, 5, 6, n_columns))
    pairs = Layout(6, n_columns, True).column_pairs
    with jax.enable_x64(True):
        products = column_products(*map(jnp.asarray, (one, other)), pairs)
    right = np.einsum("pta,ptb->pab", one, other)[:, pairs[0], pairs[1]]
    np.testing.assert_allclose(products, right, rtol=1e-13, atol=1e-13)


def test_compilation_does_not_grow_with_the_square_of_the_columns() -> None:
    """60 columns have 1,830 products; one by one they took a minute and gigabytes to compile."""

    def operations(n_columns: int) -> int:
        pairs = Layout(6, n_columns, True).column_pairs
        shape = jax.ShapeDtypeStruct((8, 6, n_columns), np.float64)

        def products(x: Any) -> Any:
            return column_products(x, x, pairs)

        with jax.enable_x64(True):
            return len(jax.jit(products).lower(shape).as_text().splitlines())

    assert operations(60) < 200


@pytest.mark.parametrize("balanced", [True, False])
def test_constants_have_no_deviations_wherever_they_lie(balanced: bool) -> None:
    level = np.array([0.1, 1 / 3, 1e9 + 0.1, 1e300, 1e-300, 7e12])
    v = np.broadcast_to(level, (4, 10, 6))
    row = np.ones((4, 10))
    if not balanced:
        row[:, 3:5] = 0.0
    with jax.enable_x64(True):
        found, mean, _ = demean(np.where(row[:, :, None] > 0, v, 0.0), row, balanced=balanced)
    np.testing.assert_array_equal(found, np.zeros((4, 10, 6)))
    np.testing.assert_allclose(mean, v[:, 0], rtol=1e-15)
