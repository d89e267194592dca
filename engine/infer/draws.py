"""Random numbers keyed by (seed, replicate, city): a draw is the same wherever and in whatever block it is made.

Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw 2011) is a function of key and counter; the seed
is the key, replicate and city are the counter.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Integers, Words
from engine.float64 import double_precision

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


@jax.jit
def _threefry(key: jax.Array, counter: jax.Array) -> jax.Array:
    """Two 32-bit words for every counter ``[..., 2]`` under a key ``[2]``."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    a, b = counter[..., 0] + keys[0], counter[..., 1] + keys[1]
    for group in range(5):
        for bits in _ROTATIONS[group % 2]:
            a = a + b
            b = ((b << bits) | (b >> (32 - bits))) ^ a
        a = a + keys[(group + 1) % 3]
        b = b + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return jnp.stack([a, b], axis=-1)


def random_bits(seed: int, replicates: Integers, n_units: int) -> Words:
    """64 random bits for every replicate and unit.

    Parameters
    ----------
    seed : int
        0 <= seed < 2^64.
    replicates : int32 ``[n_draws]``
    n_units : int

    Returns
    -------
    uint64 ``[n_draws, n_units]``
    """
    counter = np.empty((len(replicates), n_units, 2), dtype=np.uint32)
    counter[..., 0] = np.asarray(replicates, dtype=np.uint32)[:, None]
    counter[..., 1] = np.arange(n_units, dtype=np.uint32)
    pair = np.asarray(_threefry(_key(seed), jnp.asarray(counter)))
    return pair[..., 0].astype(np.uint64) << np.uint64(32) | pair[..., 1].astype(np.uint64)


def _key(seed: int) -> jax.Array:
    return jnp.asarray(np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint32))


def permuted_classes(
    seed: int, replicates: Integers, classes: Integers, strata: Integers | None = None
) -> Integers:
    """Adoption classes permuted among the units, within strata.

    Units of a stratum are sorted by their random bits and take the stratum's classes in that order.

    Parameters
    ----------
    seed, replicates : see `random_bits`
    classes : int32 ``[n_units]``
    strata : int32 ``[n_units]``, optional

    Returns
    -------
    int32 ``[n_draws, n_units]``
    """
    n = len(classes)
    stratum = np.zeros(n, dtype=np.int32) if strata is None else strata
    slots = classes[np.lexsort((classes, stratum))]
    keys = SortKeys(max(1, (n - 1).bit_length()), 64 - max(1, int(stratum.max()).bit_length()))
    if jax.default_backend() != "cpu":
        with double_precision():
            return np.asarray(_permuted_there(_key(seed), jnp.asarray(replicates), stratum, slots, keys=keys))
    order = np.argsort(keys.of(random_bits(seed, replicates, n), stratum.astype(np.uint64)), axis=1)
    permuted = np.empty((len(replicates), n), dtype=np.int32)
    np.put_along_axis(permuted, order, np.broadcast_to(slots, permuted.shape), axis=1)
    return permuted


class SortKeys(NamedTuple):
    """Words by which units are sorted: stratum, random bits, number of the unit, from the highest bit to the lowest.

    Attributes
    ----------
    low : int
        Bits of the number, which breaks ties.
    high : int
        Where the stratum starts: it keeps strata together.
    """

    low: int
    high: int

    def of(self, bits: Any, stratum: Any) -> Any:
        """Words ``[n_draws, n_units]`` of numpy or JAX from random bits; ``stratum`` uint64 ``[n_units]``."""
        low = np.uint64(self.low)
        number = np.arange(len(stratum), dtype=np.uint64)
        random = (bits >> np.uint64(64 - self.high)) >> low << low
        return random | number[None] | (stratum << np.uint64(self.high))[None]


@partial(jax.jit, static_argnames="keys")
def _permuted_there(
    key: jax.Array, replicates: jax.Array, stratum: jax.Array, slots: jax.Array, *, keys: SortKeys
) -> jax.Array:
    """`permuted_classes` on an accelerator."""
    n_draws, n = len(replicates), len(slots)
    unit = jnp.broadcast_to(jnp.arange(n, dtype=np.uint32), (n_draws, n))
    replicate = jnp.broadcast_to(replicates.astype(np.uint32)[:, None], (n_draws, n))
    words = _threefry(key, jnp.stack([replicate, unit], axis=-1)).astype(np.uint64)
    bits = words[..., 0] << np.uint64(32) | words[..., 1]
    order = jnp.argsort(keys.of(bits, stratum.astype(np.uint64)), axis=1)
    draw = jnp.arange(n_draws, dtype=order.dtype)[:, None]
    return jnp.zeros((n_draws, n), slots.dtype).at[draw, order].set(slots[None])


def resampled_counts(seed: int, replicates: Integers, n_units: int) -> Array:
    """How often each unit is drawn in ``n_units`` draws with replacement; float64 ``[n_draws, n_units]``."""
    units = (random_bits(seed, replicates, n_units) >> np.uint64(32)) * np.uint64(n_units) >> np.uint64(32)
    flat = units.astype(np.int64) + np.arange(len(replicates))[:, None] * n_units
    counts = np.bincount(flat.ravel(), minlength=len(replicates) * n_units)
    return counts.reshape(len(replicates), n_units).astype(np.float64)


def multipliers(seed: int, replicates: Integers, n_units: int, kind: str) -> Array:
    """Independent multipliers of mean 0 and variance 1, float64 ``[n_draws, n_units]``.

    ``rademacher``: -1, 1. ``webb``: six points +-sqrt(k/2), k = 1, 2, 3 (Webb 2023). ``mammen``: two points
    with third moment 1 (Mammen 1993).
    """
    bits = random_bits(seed, replicates, n_units)
    match kind:
        case "rademacher":
            return np.where(bits >> np.uint64(63), 1.0, -1.0)
        case "webb":
            points = np.sqrt(np.array([0.5, 1.0, 1.5]))
            points = np.concatenate([-points[::-1], points])
            return points[((bits >> np.uint64(32)) * np.uint64(6) >> np.uint64(32)).astype(np.int64)]
        case "mammen":
            root = np.sqrt(5.0)
            uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
            return np.where(uniform < (root + 1) / (2 * root), (1 - root) / 2, (1 + root) / 2)
    raise ValueError(f"unknown multiplier {kind!r}")
