"""The entropy index against a plain loop, and everything that must not change it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.cities.entropy import EntropyIndex, entropy_index
from engine.errors import InputError

NAMES = ("a", "b", "c", "d")
NEGATIVE = (False, True, False, False)


def draw(seed: int = 0, n_units: int = 12, n_years: int = 5) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(size=(n_units, n_years, len(NAMES))))


def index_of(values: np.ndarray, negative: tuple[bool, ...] = NEGATIVE) -> EntropyIndex:
    return entropy_index(values, negative=negative, names=NAMES)


def by_hand(
    rows: list[list[float]], negative: tuple[bool, ...]
) -> tuple[list[float], list[float], list[float]]:
    """Weights, entropies and index of complete rows, as a textbook writes them."""
    scaled = []
    for column, less_is_better in zip(zip(*rows, strict=True), negative, strict=True):
        low, high = min(column), max(column)
        scaled.append([(high - x if less_is_better else x - low) / (high - low) for x in column])
    entropies = []
    for column in scaled:
        shares = [x / math.fsum(column) for x in column]
        entropies.append(-math.fsum(p * math.log(p) for p in shares if p > 0) / math.log(len(rows)))
    total = math.fsum(1 - e for e in entropies)
    weights = [(1 - e) / total for e in entropies]
    index = [math.fsum(w * x for w, x in zip(weights, row, strict=True)) for row in zip(*scaled, strict=True)]
    return weights, entropies, index


def test_agrees_with_a_plain_loop() -> None:
    values = draw()
    weights, entropies, index = by_hand(values.reshape(-1, 4).tolist(), NEGATIVE)
    result = index_of(values)
    np.testing.assert_allclose(result.weights, weights, rtol=1e-12)
    np.testing.assert_allclose(result.entropies, entropies, rtol=1e-12)
    np.testing.assert_allclose(result.divergence, 1 - np.array(entropies), rtol=1e-11)
    np.testing.assert_allclose(result.index.ravel(), index, rtol=1e-12)
    np.testing.assert_array_equal(result.minimum, values.min(axis=(0, 1)))
    np.testing.assert_array_equal(result.maximum, values.max(axis=(0, 1)))


def test_city_years_with_a_missing_indicator_stay_out() -> None:
    values = draw()
    values[3, 2, 1] = values[7, :, 0] = np.nan
    complete = ~np.isnan(values).any(axis=2)
    weights, _, index = by_hand(values[complete].tolist(), NEGATIVE)
    result = index_of(values)
    np.testing.assert_allclose(result.weights, weights, rtol=1e-12)
    np.testing.assert_allclose(result.index[complete], index, rtol=1e-12)
    assert np.isnan(result.index[~complete]).all()
    assert (~complete).sum() == 6


def test_weights_are_theil_shares() -> None:
    values = draw(1)
    scaled = (values - values.min(axis=(0, 1))) / (values.max(axis=(0, 1)) - values.min(axis=(0, 1)))
    relative = scaled.reshape(-1, 4) / scaled.reshape(-1, 4).mean(axis=0)
    theil = np.mean(np.where(relative > 0, relative * np.log(np.where(relative > 0, relative, 1)), 0), axis=0)
    result = index_of(values, (False,) * 4)
    np.testing.assert_allclose(result.weights, theil / theil.sum(), rtol=1e-11)
    np.testing.assert_allclose(result.divergence * np.log(60), theil, rtol=1e-11)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, (6, 3, 4), elements=st.floats(-1e3, 1e3, width=32), unique=True),
    st.lists(st.floats(0.01, 100), min_size=4, max_size=4),
    st.lists(st.floats(-100, 100), min_size=4, max_size=4),
    st.randoms(use_true_random=False),
)
def test_what_must_not_change_it(
    values: np.ndarray, scale: list[float], shift: list[float], random: object
) -> None:
    values = np.round(values, 2) + np.linspace(0, 5, 18).reshape(6, 3, 1)  # no column is nearly constant
    result = index_of(values)
    assert result.weights.sum() == pytest.approx(1, abs=1e-12)
    assert ((result.weights >= 0) & (result.weights <= 1)).all()
    assert ((result.index >= -1e-12) & (result.index <= 1 + 1e-12)).all()
    affine = index_of(values * scale + shift)
    np.testing.assert_allclose(affine.weights, result.weights, atol=1e-8)
    np.testing.assert_allclose(affine.index, result.index, atol=1e-8)
    order = list(range(6))
    random.shuffle(order)  # type: ignore[attr-defined]
    permuted = index_of(values[order])
    np.testing.assert_allclose(permuted.weights, result.weights, rtol=1e-10)
    np.testing.assert_allclose(permuted.index, result.index[order], rtol=1e-10, atol=1e-13)


def test_replicating_all_rows_keeps_weights_but_not_entropies() -> None:
    values = draw(2)
    once, thrice = index_of(values), index_of(np.concatenate([values] * 3))
    np.testing.assert_allclose(thrice.weights, once.weights, rtol=1e-12)
    np.testing.assert_allclose(thrice.index, np.concatenate([once.index] * 3), rtol=1e-12)
    assert (thrice.entropies > once.entropies).all()


def test_identical_columns_weigh_the_same() -> None:
    values = draw(3)
    values[..., 3] = values[..., 0]
    result = index_of(values)
    assert result.weights[0] == result.weights[3]


def test_negative_is_the_minus_sign() -> None:
    values = draw(4)
    flipped = values * np.where(NEGATIVE, -1, 1)
    np.testing.assert_allclose(index_of(values).index, index_of(flipped, (False,) * 4).index, rtol=1e-12)
    assert np.abs(index_of(values).index - index_of(values, (False,) * 4).index).max() > 0.01


def test_one_hot_indicator_has_no_entropy() -> None:
    values = draw(5)
    values[..., 2] = 3.0
    values[4, 1, 2] = 9.0
    result = index_of(values)
    assert result.entropies[2] == 0
    assert result.weights[2] == result.weights.max()


def test_another_year_rewrites_history() -> None:
    values = draw(6)
    assert np.abs(index_of(values).index[:, :4] - index_of(values[:, :4]).index).max() > 1e-3


@pytest.mark.parametrize("constant", [0.0, 3.0, 0.1])
def test_constant_indicator_is_named(constant: float) -> None:
    values = draw()
    values[..., 2] = constant * np.where(np.arange(5) % 2, 3, 1) / np.where(np.arange(5) % 2, 3, 1)
    with pytest.raises(InputError, match=r"indicator 'c' is constant .*\n  hint: leave it out"):
        index_of(values)


def test_other_bad_input() -> None:
    values = draw()
    values[0, 0, 3] = np.inf
    with pytest.raises(InputError, match="indicator 'd' has an infinite value"):
        index_of(values)
    with pytest.raises(InputError, match="0 have them"):
        index_of(np.full((3, 2, 4), np.nan))
