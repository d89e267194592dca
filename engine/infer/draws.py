"""Random numbers keyed by (seed, replicate, city): a draw is the same wherever and in whatever block it is made.

Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw 2011) is a function of key and counter; the seed
is the key, replicate and city are the counter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Integers, Words

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
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint32)
    counter = np.empty((len(replicates), n_units, 2), dtype=np.uint32)
    counter[..., 0] = np.asarray(replicates, dtype=np.uint32)[:, None]
    counter[..., 1] = np.arange(n_units, dtype=np.uint32)
    pair = np.asarray(_threefry(jnp.asarray(key), jnp.asarray(counter)))
    return pair[..., 0].astype(np.uint64) << np.uint64(32) | pair[..., 1].astype(np.uint64)


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
    # The unit's number in the low bits breaks ties; the stratum in the high bits keeps strata together.
    bits = np.uint64(max(1, (n - 1).bit_length()))
    high = np.uint64(64 - max(1, int(stratum.max()).bit_length()))
    key = (random_bits(seed, replicates, n) >> (np.uint64(64) - high)) >> bits << bits | np.arange(
        n, dtype=np.uint64
    )
    key |= stratum.astype(np.uint64) << high
    order = np.argsort(key, axis=1)
    slots = classes[np.lexsort((classes, stratum))]
    permuted = np.empty((len(replicates), n), dtype=np.int32)
    np.put_along_axis(permuted, order, np.broadcast_to(slots, permuted.shape), axis=1)
    return permuted


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
