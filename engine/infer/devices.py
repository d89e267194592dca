"""Arrays over the JAX devices of a process: draws are split among them in equal parts, what all draws share is on each.

    across_devices(array, axis)   split along the axis of the draws (the last one by default)
    on_all_devices(array)         a copy on each
    sum_in_order(values)          over the first axis, in an order that no number of threads changes
    to_host(array)                a numpy array of what an accelerator made
    accelerator_bytes()           memory of an accelerator; None where there is none

The first two take numpy or JAX arrays and give JAX arrays that any jitted function takes together; call them under
float64. On one device they are `jnp.asarray`. Draws that the devices do not divide are copied to each, so nothing
is padded and every number is the same on any number of devices. A function whose draws do not meet each other
(no sum over them) then runs without communication between devices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from engine.arrays import AnyArray

_DRAWS = "draws"


def across_devices(array: jax.Array | AnyArray, axis: int = -1) -> jax.Array:
    """The array, split along ``axis`` where the number of devices divides its length there."""
    devices = jax.local_devices()
    if len(devices) == 1:
        return jnp.asarray(array)
    if array.shape[axis] % len(devices):
        return on_all_devices(array)
    split: list[str | None] = [None] * array.ndim
    split[axis] = _DRAWS
    return jax.device_put(array, NamedSharding(_mesh(devices), PartitionSpec(*split)))


def on_all_devices(array: jax.Array | AnyArray) -> jax.Array:
    """The array, whole on every device."""
    devices = jax.local_devices()
    if len(devices) == 1:
        return jnp.asarray(array)
    return jax.device_put(array, NamedSharding(_mesh(devices), PartitionSpec()))


def sum_in_order(values: jax.Array) -> jax.Array:
    """Sums ``[n]`` over the rows of ``values [n_rows, n]``, row after row.

    XLA may share a plain reduction out among its threads, and round the sums at the edges of a share differently;
    a scatter runs row after row.
    """
    first = jnp.zeros(len(values), dtype=np.int32)
    return jnp.zeros((1, *values.shape[1:]), values.dtype).at[first].add(values)[0]


def to_host(array: jax.Array) -> AnyArray:
    """The array in memory of the host; from an accelerator by pages that stay in place: 48 GB/s, where else it is 1."""
    if jax.default_backend() == "cpu":
        return np.asarray(array)
    return np.asarray(jax.device_put(array, array.sharding.with_memory_kind("pinned_host")))


def accelerator_bytes() -> float | None:
    """Memory that the smallest accelerator lends to JAX; None where JAX computes on the processor."""
    if jax.default_backend() == "cpu":
        return None
    limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in jax.local_devices()]
    return float(min(limits))


def _mesh(devices: list[jax.Device]) -> Mesh:
    return Mesh(np.array(devices), (_DRAWS,))
