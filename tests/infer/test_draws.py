"""Random numbers: published test vectors, independence of blocking, and the distributions that draws must have."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.infer.draws import _threefry, multipliers, permuted_classes, random_bits, resampled_counts

RARE = 1e-4
"""Seeds are fixed, so a test either passes always or never; a fair generator fails one seed in ten thousand."""

CLASSES = np.array([0, 0, 1, 2, 2, 2, 2, 2], dtype=np.int32)
STRATA = np.array([0, 1, 1, 0, 2, 1, 0, 1], dtype=np.int32)


def replicates(n: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + n, dtype=np.int32)


# -- the generator -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_known_answers_of_threefry_2x32(key: Any, counter: Any, expected: Any) -> None:
    """The kat_vectors of Random123 for threefry2x32 with 20 rounds."""
    found = _threefry(jnp.array(key, dtype=jnp.uint32), jnp.array([counter], dtype=jnp.uint32))
    assert tuple(int(word) for word in np.asarray(found)[0]) == expected


def threefry_by_hand(key: tuple[int, int], counter: tuple[int, int]) -> int:
    """The cipher in whole numbers, as the paper writes it: both words as one number of 64 bits."""
    mask = 0xFFFFFFFF
    schedule = [*key, 0x1BD11BDA ^ key[0] ^ key[1]]
    a, b = ((word + schedule[k]) & mask for k, word in enumerate(counter))
    rotations = [13, 15, 26, 6, 17, 29, 16, 24]
    for step in range(20):
        a = (a + b) & mask
        turn = rotations[step % 8]
        b = ((b << turn | b >> (32 - turn)) & mask) ^ a
        if step % 4 == 3:
            n = step // 4 + 1
            a = (a + schedule[n % 3]) & mask
            b = (b + schedule[(n + 1) % 3] + n) & mask
    return a << 32 | b


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**31 - 1))
def test_words_are_threefry_of_seed_replicate_and_unit(seed: int, replicate: int) -> None:
    found = random_bits(seed, np.array([replicate], dtype=np.int32), 4)[0]
    key = (seed & 0xFFFFFFFF, seed >> 32)
    assert found.tolist() == [threefry_by_hand(key, (replicate, unit)) for unit in range(4)]


MAKERS = {
    "random bits": lambda r: random_bits(5, r, 9),
    "classes": lambda r: permuted_classes(5, r, CLASSES),
    "strata": lambda r: permuted_classes(5, r, CLASSES, STRATA),
    "counts": lambda r: resampled_counts(5, r, 9),
    "rademacher": lambda r: multipliers(5, r, 9, "rademacher"),
    "webb": lambda r: multipliers(5, r, 9, "webb"),
    "mammen": lambda r: multipliers(5, r, 9, "mammen"),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_draw_does_not_know_its_block(maker: str) -> None:
    make, wanted = MAKERS[maker], replicates(60)
    whole = make(wanted)
    for cuts in ([7], [1, 2, 59], list(range(1, 60))):
        np.testing.assert_array_equal(np.concatenate([make(part) for part in np.split(wanted, cuts)]), whole)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_array_equal(make(wanted[order]), whole[order])
    assert len(np.unique(whole, axis=0)) > 20  # and draws differ (strata allow 36 assignments)


def test_units_draw_the_same_word_in_panels_of_any_size() -> None:
    np.testing.assert_array_equal(
        random_bits(3, replicates(5), 40)[:, :12], random_bits(3, replicates(5), 12)
    )


# -- permutations ------------------------------------------------------------------------------------------


@given(st.integers(0, 2**64 - 1), st.booleans())
def test_classes_are_dealt_within_strata(seed: int, stratified: bool) -> None:
    strata = STRATA if stratified else np.zeros(8, dtype=np.int32)
    found = permuted_classes(seed, replicates(10), CLASSES, STRATA if stratified else None)
    for stratum in np.unique(strata):
        mine = strata == stratum
        expected = np.broadcast_to(np.sort(CLASSES[mine]), (10, mine.sum()))
        np.testing.assert_array_equal(np.sort(found[:, mine], axis=1), expected)


def test_every_assignment_is_equally_likely() -> None:
    """Chi-square over all 168 ways to deal two, one and five."""
    n = 16_800
    found = permuted_classes(1, replicates(n), CLASSES)
    tally = Counter(map(tuple, found.tolist()))
    assert len(tally) == 168
    assert stats.chisquare(list(tally.values())).pvalue > RARE


def test_within_strata_every_assignment_is_equally_likely() -> None:
    n = 12_000
    found = permuted_classes(2, replicates(n), CLASSES, STRATA)
    expected = set(permutations((0, 2, 2)))
    tally = Counter(map(tuple, found.tolist()))
    # Stratum 0 holds classes 0, 2, 2; stratum 1 holds 0, 1, 2, 2; stratum 2 a single 2.
    assert {row[0:1] + row[3:4] + row[6:7] for row in tally} == expected
    assert len(tally) == 3 * 12
    assert stats.chisquare(list(tally.values())).pvalue > RARE


def test_each_city_meets_each_class_equally_often_and_seeds_differ() -> None:
    classes = np.repeat([0, 1, 2, 3], [3, 5, 7, 15]).astype(np.int32)
    n = 6_000
    one, other = (permuted_classes(seed, replicates(n), classes) for seed in (7, 8))
    for found in (one, other):
        tally = np.stack([(found == number).sum(axis=0) for number in range(4)])
        assert stats.chi2_contingency(tally).pvalue > RARE
    agree = (one == other).mean()
    chance = (np.bincount(classes) ** 2).sum() / 30**2
    assert abs(agree - chance) < 4 * np.sqrt(chance / (30 * n))  # four standard errors of that share


# -- resamples ---------------------------------------------------------------------------------------------


def test_counts_are_multinomial() -> None:
    n_units, n = 12, 8_000
    counts = resampled_counts(3, replicates(n), n_units)
    np.testing.assert_array_equal(counts.sum(axis=1), np.full(n, n_units))
    assert counts.dtype == np.float64
    assert stats.chisquare(counts.sum(axis=0)).pvalue > RARE
    binomial = stats.binom(n_units, 1 / n_units).pmf(np.arange(5))
    for unit in (0, 5, 11):
        seen = np.bincount(counts[:, unit].astype(int), minlength=13)
        assert (
            stats.chisquare([*seen[:5], seen[5:].sum()], n * np.append(binomial, 1 - binomial.sum())).pvalue
            > RARE
        )
    covariance = np.cov(counts.T)
    expected = np.eye(n_units) - 1 / n_units
    # A covariance of n products of standardised counts has a standard error of about 1/sqrt(n), two on the diagonal.
    np.testing.assert_allclose(covariance, expected, atol=4 * np.sqrt(3 / n))


def test_counts_by_hand() -> None:
    """A unit's word picks the city at that share of the way through them."""
    picks = [int(word >> 32) * 9 >> 32 for word in random_bits(4, replicates(1), 9)[0].tolist()]
    np.testing.assert_array_equal(resampled_counts(4, replicates(1), 9)[0], np.bincount(picks, minlength=9))


# -- multipliers -------------------------------------------------------------------------------------------

GOLDEN = (1 + np.sqrt(5)) / 2
POINTS = {
    "rademacher": ([-1, 1], [0.5, 0.5]),
    "webb": ([-np.sqrt(1.5), -1, -np.sqrt(0.5), np.sqrt(0.5), 1, np.sqrt(1.5)], [1 / 6] * 6),
    "mammen": ([1 - GOLDEN, GOLDEN], [GOLDEN / np.sqrt(5), 1 - GOLDEN / np.sqrt(5)]),
}


@pytest.mark.parametrize("kind", POINTS)
def test_multipliers_have_their_points_shares_and_moments(kind: str) -> None:
    points, shares = (np.array(part) for part in POINTS[kind])
    np.testing.assert_allclose(
        [(points**m * shares).sum() for m in (1, 2)], [0, 1], atol=1e-15
    )  # what is claimed of them
    third = 1.0 if kind == "mammen" else 0.0
    np.testing.assert_allclose((points**3 * shares).sum(), third, atol=1e-15)
    drawn = multipliers(6, replicates(2_000), 50, kind).ravel()
    nearest = np.abs(drawn[:, None] - points[None, :]).argmin(axis=1)
    np.testing.assert_allclose(drawn, points[nearest], rtol=1e-15)
    assert stats.chisquare(np.bincount(nearest, minlength=len(points)), shares * len(drawn)).pvalue > RARE
    for moment, expected in ((1, 0.0), (2, 1.0), (3, third)):
        powers = drawn**moment
        assert abs(powers.mean() - expected) <= 4 * powers.std() / np.sqrt(len(drawn))


def test_unknown_multipliers_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown multiplier 'normal'"):
        multipliers(0, replicates(2), 3, "normal")
