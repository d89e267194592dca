"""The logit behind a propensity score: Newton on moment sums, and proof of separation where it has no maximum.

    columns --> centred, collinear ones refused, scaled     numpy
    blocks of rows --> Sums at a point                      JAX, float64, one compilation for any number of rows
    Sums --> Newton step, halved until the likelihood rises numpy, k + 1 numbers

Separation (Albert and Anderson 1984): treated and controls are separated where some direction d has
(2 y_r - 1) x_r'd >= 0 in every row and > 0 in some. The likelihood then rises along d for ever. Newton finds d by
itself: the index of separated rows grows by about one in every step, everything else converges, so the step tends
to d, and each pass checks the inequality for the step it took. The inequality is the proof; no cut-off for large
coefficients or for fitted probabilities near 0 and 1 is used, since both occur in data that have a maximum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.estimate.absorb import find_collinear
from engine.float64 import double_precision

Values = TypeVar("Values", Array, jax.Array)

_BLOCK = 1 << 14  # rows in one call: columns, index and weights of a block stay in cache
# of standardised coefficients; Newton doubles the digits, so that the next step would be rounding
_STEP = 1e-8
_MOST = 100
_STRICT = 1e-9  # an index on the right side of zero by more than its rounding
_GROWING, _STILL = 0.5, 1e-7  # change of a separated row's index in one step, and of one that has converged
_SHARE = 1e-4  # of the largest part of a separating direction


@dataclass(frozen=True)
class Logit:
    """A fitted logit.

    Attributes
    ----------
    names : tuple of str
        ``intercept``, then the columns.
    coefficients, std_errors : float64 ``[k + 1]``
        Per unit of the columns as given; standard errors from the information matrix, NaN unless converged.
    index : float64 ``[n]``
        x'b: the logit of the propensity score, which `matching.match` takes.
    probability : float64 ``[n]``
        The propensity score, 1 / (1 + exp(-index)).
    log_likelihood : float
    iterations : int
        Newton steps.
    converged : bool
        The last step changed no standardised coefficient by more than 1e-8 (of the largest, if above 1).
    separated : str or None
        A sentence that names the columns that tell treated from controls without error. There are then no
        finite coefficients, and those given are only where the iteration was stopped.
    """

    names: tuple[str, ...]
    coefficients: Array
    std_errors: Array
    index: Array
    probability: Array
    log_likelihood: float
    iterations: int
    converged: bool
    separated: str | None


class Sums(NamedTuple, Generic[Values]):
    """Sums over rows at coefficients b: log-likelihood, its gradient and information; and ranges over rows.

    lowest is the smallest (2y - 1) x'b; step_low and step_high are the range of (2y - 1) x'd for the step d
    that led to b.
    """

    likelihood: Values
    gradient: Values
    information: Values
    lowest: Values
    step_low: Values
    step_high: Values


def logit(columns: Array, treated: Flags, *, names: Sequence[str], weights: Array | None = None) -> Logit:
    """Maximum likelihood of P(treated) = 1 / (1 + exp(-b_0 - x'b)), by Newton with step halving.

    Parameters
    ----------
    columns : float64 ``[n, k]``
    treated : bool ``[n]``
    names : sequence of str, k of them
    weights : float64 ``[n]``, optional
        Frequencies: a row of weight 2 counts as two rows; rows of weight 0 get a probability and count as none.

    Raises
    ------
    InputError
        Where a column has missing values or is collinear, or treated or controls are absent.

    References
    ----------
    Newton and iterated weighted least squares: McCullagh and Nelder (1989), chapter 4. Separation: Albert and
    Anderson (1984), Biometrika 71(1).
    """
    columns, names = np.asarray(columns, dtype=np.float64), tuple(names)
    treated = np.asarray(treated, dtype=bool)
    w = np.ones(len(columns)) if weights is None else np.asarray(weights, dtype=np.float64)
    _check(columns, treated, names, w)
    mean = w @ columns / w.sum()
    x = columns - mean
    correction = w @ x / w.sum()  # for the rounding of a mean far from zero
    x, mean = x - correction, mean + correction
    _refuse_collinear(x, columns, names, w)
    scale = np.sqrt(w @ x**2 / w.sum())
    x /= scale
    with double_precision():
        blocks = _Blocks(x, treated, w)
        share = float(w @ treated / w.sum())
        start = np.zeros(x.shape[1] + 1)
        start[0] = np.log(share) - np.log1p(-share)
        b, sums, iterations, converged, direction = _newton(blocks, start)
        index = blocks.index(b)
    variance = np.full((len(b), len(b)), np.nan)
    if converged:
        back = np.diag(np.concatenate([[1.0], 1 / scale]))
        back[0, 1:] = -mean / scale
        variance = back @ np.linalg.inv(sums.information) @ back.T
    slopes = b[1:] / scale
    counted = w > 0
    return Logit(
        names=("intercept", *names),
        coefficients=np.concatenate([[b[0] - mean @ slopes], slopes]),
        std_errors=np.sqrt(np.diag(variance)),
        index=index,
        probability=np.exp(-np.logaddexp(0.0, -index)),
        log_likelihood=float(sums.likelihood),
        iterations=iterations,
        converged=converged,
        separated=None
        if direction is None
        else _sentence(direction, x[counted], treated[counted], names, complete=bool(sums.lowest > _STRICT)),
    )


def _newton(blocks: _Blocks, b: Array) -> tuple[Array, Sums[Array], int, bool, Array | None]:
    """Coefficients, the sums there, steps taken, whether converged, and the direction that separates, if any."""
    sums = blocks.sums(b, np.zeros_like(b))
    for iteration in range(1, _MOST + 1):
        solution, _, rank, _ = np.linalg.lstsq(sums.information, sums.gradient, rcond=1e-15)
        step = np.asarray(solution, dtype=np.float64)
        if rank < len(b):  # a step that leaves a direction out could look like the last one
            return b, sums, iteration - 1, False, None
        # The sum over rows carries rounding, which must not halve the last, tiny steps.
        floor = sums.likelihood - 1e-11 * abs(sums.likelihood)
        while not (tried := blocks.sums(b + step, step)).likelihood >= floor:
            step = step / 2
        b, sums = b + step, tried
        if sums.lowest > _STRICT:
            return b, sums, iteration, False, b
        if sums.step_high > _GROWING and abs(sums.step_low) < _STILL:
            return b, sums, iteration, False, step
        if np.abs(step).max() <= _STEP * max(1.0, np.abs(b).max()):
            return b, sums, iteration, True, None
    return b, sums, _MOST, False, None


class _Blocks:
    """Rows in blocks of one shape, the last one padded with rows of weight zero; rows are the last axis."""

    def __init__(self, x: Array, treated: Flags, weights: Array) -> None:
        self.n, self.k = x.shape
        self.blocks = []
        for first in range(0, self.n, _BLOCK):
            rows = slice(first, min(first + _BLOCK, self.n))
            size = rows.stop - rows.start
            block, sign, weight = np.zeros((self.k + 1, _BLOCK)), np.ones(_BLOCK), np.zeros(_BLOCK)
            block[0] = 1.0
            block[1:, :size] = x[rows].T
            sign[:size] = np.where(treated[rows], 1.0, -1.0)
            weight[:size] = weights[rows]
            self.blocks.append((jnp.asarray(block), jnp.asarray(sign), jnp.asarray(weight)))

    def sums(self, b: Array, step: Array) -> Sums[Array]:
        """Sums at b, added in the order of the rows."""
        size, directions = self.k + 1, jnp.asarray(np.stack([b, step]))
        # Typed as what `_add` gives: a weakly typed infinity would compile it twice.
        far = jnp.full((), np.inf, dtype=jnp.float64)
        sums = Sums(jnp.zeros(()), jnp.zeros(size), jnp.zeros((size, size)), far, far, -far)
        for block in self.blocks:
            sums = _add(sums, block, directions)
        return Sums(*(np.asarray(part) for part in sums))

    def index(self, b: Array) -> Array:
        return np.concatenate([b @ np.asarray(x) for x, _, _ in self.blocks])[: self.n]


@jax.jit
def _add(
    sums: Sums[jax.Array], block: tuple[jax.Array, jax.Array, jax.Array], directions: jax.Array
) -> Sums[jax.Array]:
    """Add a block of rows, at ``directions`` ``[2, k + 1]``: the coefficients and the step that led to them."""
    x, sign, weight = block
    signed = (directions @ x) * sign[None]
    # From exp(-|index|) alone: neither probability loses its digits near 0.
    small = jnp.exp(-jnp.abs(signed[0]))
    wrong = jnp.where(signed[0] > 0, small, 1.0) / (1.0 + small)
    spread = small / (1.0 + small) ** 2
    products = jnp.vstack([x * (weight * spread)[None], weight * sign * wrong]) @ x.T
    counts = weight > 0
    low = jnp.where(counts[None], signed, jnp.inf).min(axis=1)
    return Sums(
        sums.likelihood + weight @ (jnp.minimum(signed[0], 0.0) - jnp.log1p(small)),
        sums.gradient + products[-1],
        sums.information + products[:-1],
        jnp.minimum(sums.lowest, low[0]),
        jnp.minimum(sums.step_low, low[1]),
        jnp.maximum(sums.step_high, jnp.where(counts, signed[1], -jnp.inf).max()),
    )


def _sentence(direction: Array, x: Array, treated: Flags, names: tuple[str, ...], *, complete: bool) -> str:
    """A sentence on the columns that separate: those that do so alone, else all with a part in the direction."""
    single = [name for name, values in zip(names, x.T, strict=True) if _splits(values, treated)]
    parts = np.abs(direction[1:])
    columns = single or [name for name, part in zip(names, parts, strict=True) if part > _SHARE * parts.max()]
    tell = f"{', '.join(columns)} {'each ' if single else 'together '}tell"
    if len(columns) == 1:
        tell = f"'{columns[0]}' tells"
    rows = "all rows" if complete else "part of the rows"
    kind = "complete" if complete else "quasi-complete"
    return f"{tell} treated from controls without error in {rows} ({kind} separation)"


def _splits(values: Array, treated: Flags) -> bool:
    """One column separates: no treated value lies below a control's, or none above."""
    yes, no = values[treated], values[~treated]
    return bool(yes.min() >= no.max() or yes.max() <= no.min())


def _refuse_collinear(centred: Array, columns: Array, names: tuple[str, ...], weights: Array) -> None:
    collinear = find_collinear(centred, columns, names, weights=weights)
    if not collinear:
        return
    first = collinear[0]
    if not first.partners:
        raise InputError(f"the column '{first.name}' does not vary", where="logit", remedy="leave it out")
    raise InputError(
        f"the column '{first.name}' is collinear with {', '.join(first.partners)}",
        where="logit",
        remedy=f"leave out one of {', '.join([*first.partners, first.name])}",
    )


def _check(columns: Array, treated: Flags, names: tuple[str, ...], weights: Array) -> None:
    if columns.ndim != 2 or columns.shape[1] == 0 or columns.shape[1] != len(names):
        raise ValueError(f"expected columns [n, {len(names)}], at least one, got {columns.shape}")
    if treated.shape != columns.shape[:1] or weights.shape != columns.shape[:1]:
        raise ValueError(
            f"expected {len(columns)} rows, got {treated.shape} treated, {weights.shape} weights"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise InputError(
            "a weight is negative, infinite or missing", where="logit", remedy="give weights from 0 up"
        )
    for name, values in zip(names, columns.T, strict=True):
        missing = int((~np.isfinite(values)).sum())
        if missing:
            raise InputError(
                f"the column '{name}' is missing or infinite in {missing:,} rows",
                where="logit",
                remedy="drop those rows, or fill the panel (panel.fill)",
            )
    for group, rows in (("treated", treated), ("controls", ~treated)):
        if not (rows & (weights > 0)).any():
            raise InputError(
                f"there are no {group} among {len(columns):,} rows",
                where="logit",
                remedy="check the adoption years, the years, and what pairs.exclude drops",
            )
