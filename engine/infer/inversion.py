"""Effects that a studentised permutation test does not reject, exactly: every draw says where it is extreme.

Under the null of effect b0 the outcome is moved back by b0 times the treatment that happened. A draw's coefficient is
then b - b0 s, and its sums over cities and over pairs are quadratic in b0, so that no draw is made again. With
u = (b0 - b_observed) / se the observed t ratio is -u, and a draw is extreme where

    (n0 - n1 u)^2 >= u^2 V(u),   n0 = (b - s b_observed) / se,   n1 = s

with V its variance over se^2, guarded at each u as the sample's is (`engine.infer.guard`). Where the variance of the
sample depends on the effect too, as that of an instrument's coefficient does, the left side is multiplied by it. The
ends of where that holds are roots of polynomials of fourth degree; between the ends of all draws their count, and so p,
is constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.infer.errors.dyadic import drawn_variances
from engine.infer.guard import ROUNDING
from engine.infer.summary import EXTREME, level_of
from engine.notes import Note

N_INVERSION = 7  # slope; city sums yy, yd, dd; pair sums yy, yd, dd
_SAME = 1e-9  # of a standard error: pieces nearer to each other are one
_LISTED = 4  # pieces of a set, in a note
_LEAST = 1e-14  # leading coefficient of a polynomial, of its largest one


@dataclass(frozen=True)
class ConfidenceSet:
    """Effects that a test does not reject: intervals in ascending order, without a common point."""

    pieces: tuple[tuple[float, float], ...]

    @property
    def low(self) -> float:
        """The least of them; minus infinity where there is none."""
        return self.pieces[0][0]

    @property
    def high(self) -> float:
        """The greatest of them; infinity where there is none."""
        return self.pieces[-1][1]


def listed_pieces(effects: ConfidenceSet) -> list[Note | str]:
    """The first pieces of a set, for a note."""
    pieces: list[Note | str] = [
        Note.of("set_piece", low=f"{low:.4g}".replace("inf", "∞"), high=f"{high:.4g}".replace("inf", "∞"))
        for low, high in effects.pieces[:_LISTED]
    ]
    return [*pieces, *(["…"] if len(effects.pieces) > _LISTED else [])]


def confidence_set(
    estimate: float,
    std_error: float,
    draws: Array,
    inversion: Array,
    *,
    confidence: float,
    exact: bool = False,
    observed: Array | None = None,
) -> ConfidenceSet:
    """Effects whose p-value is above 1 - confidence; NaN where no draw is identified.

    Parameters
    ----------
    estimate, std_error : float
        Of the sample.
    draws : float64 ``[n_draws]``
    inversion : float64 ``[n_draws, N_INVERSION]``
        See ``engine.infer.permutation.Draws``.
    confidence : float
    exact : bool
        The draws are all assignments.
    observed : float64 ``[6]``, optional
        City and pair sums of the sample, yy, yd and dd of each, where its variance depends on the effect; it is
        ``std_error`` squared at the estimate.
    """
    identified = np.isfinite(draws) & np.isfinite(inversion).all(axis=1)
    n_draws = int(identified.sum())
    if not n_draws or not (np.isfinite(estimate) and std_error > 0):
        return ConfidenceSet(((np.nan, np.nan),))
    draw = _Draws.of(estimate, std_error, draws[identified], inversion[identified], observed)
    ends, counts = _counts(draw)
    p = counts / n_draws if exact else (1 + counts) / (1 + n_draws)
    accepted = p > level_of(confidence)
    if not accepted.any():  # no draw has a variance
        return ConfidenceSet(((np.nan, np.nan),))
    low, high = np.append(-np.inf, ends)[accepted], np.append(ends, np.inf)[accepted]
    first = np.append(True, low[1:] - high[:-1] > _SAME)
    last = np.append(first[1:], True)
    pieces = zip(estimate + std_error * low[first], estimate + std_error * high[last], strict=True)
    return ConfidenceSet(tuple((float(start), float(stop)) for start, stop in pieces))


@dataclass(frozen=True)
class _Draws:
    """Draws in u: numerators ``[n]``, and sums ``[n, 3]`` as coefficients of u^0, u^1 and u^2.

    ``observed_city`` and ``observed_pair`` ``[3]`` are those of the sample, in units of its own variance.
    """

    constant: Array
    slope: Array
    city: Array
    pair: Array
    observed_city: Array
    observed_pair: Array

    @classmethod
    def of(
        cls, estimate: float, std_error: float, draws: Array, inversion: Array, observed: Array | None
    ) -> _Draws:
        slope, (city, pair) = inversion[:, 0], (inversion[:, 1:4], inversion[:, 4:7])

        def moved(sums: Array) -> Array:
            yy, yd, dd = sums.T / std_error**2
            of_one = (dd * estimate - yd) * std_error
            return np.stack(
                [yy - 2 * estimate * yd + estimate**2 * dd, 2 * of_one, dd * std_error**2], axis=1
            )

        constant = (draws - slope * estimate) / std_error
        if observed is None:
            of_sample = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        else:
            of_sample = moved(observed.reshape(2, 3))
        return cls(constant, slope, moved(city), moved(pair), *of_sample)

    def extreme(self, u: Array) -> Array:
        """Whether each draw is extreme at its own points ``[n, m]``."""
        powers = np.stack([np.ones_like(u), u, u * u])
        city, pair = (np.einsum("nk,knm->nm", sums, powers) for sums in (self.city, self.pair))
        of_sample = (
            np.einsum("k,knm->nm", sums, powers) for sums in (self.observed_city, self.observed_pair)
        )
        variance, observed_variance = drawn_variances(city, pair), drawn_variances(*of_sample)
        numerator = np.abs(self.constant[:, None] - self.slope[:, None] * u) * np.sqrt(observed_variance)
        # A draw that equals the observed assignment must count although rounding may put it just below.
        extreme = numerator >= np.abs(u) * np.sqrt(np.maximum(variance, 0.0)) * EXTREME
        # Far out, rounding would decide for the observed assignment, which is as extreme as itself at every effect.
        observed = (np.abs(self.slope - 1) < _SAME) & (np.abs(self.constant) < _SAME)
        return np.asarray(observed[:, None] | (extreme & (variance > 0)))

    def breaks(self) -> Array:
        """Points ``[n, m]`` between which a draw stays extreme, or stays not extreme; some are neither."""
        zeros, difference = np.zeros((len(self.slope), 2)), self.city - self.pair
        square = np.stack([self.constant**2, -2 * self.constant * self.slope, self.slope**2], axis=1)
        of_sample, guards = [self.observed_city], [difference - ROUNDING * self.city]
        if self.observed_pair.any():
            difference_of_sample = self.observed_city - self.observed_pair
            of_sample.append(difference_of_sample)
            guard = difference_of_sample - ROUNDING * self.observed_city
            guards.append(np.tile(guard, (len(self.slope), 1)))
        polynomials = [
            _products(square, form) - EXTREME**2 * np.concatenate([zeros, sums], axis=1)
            for form in of_sample
            for sums in (difference, self.city)
        ]
        roots = [_roots(polynomial) for polynomial in polynomials]
        return np.concatenate([*roots, *(_roots_of_quadratics(guard) for guard in guards)], axis=1)


def _products(quadratics: Array, quadratic: Array) -> Array:
    """Products ``[n, 5]`` of quadratics ``[n, 3]`` and one more ``[3]``, by ascending powers."""
    products = np.zeros((len(quadratics), 5))
    for power, coefficient in enumerate(quadratic):
        products[:, power : power + 3] += coefficient * quadratics
    return products


def _roots_of_quadratics(coefficients: Array) -> Array:
    """Roots ``[n, 2]`` of quadratics ``[n, 3]``, by ascending powers; any number where they have none."""
    constant, half, leading = coefficients[:, 0], coefficients[:, 1] / 2, coefficients[:, 2]
    inner = np.sqrt(np.maximum(half * half - leading * constant, 0.0))
    # The root of larger size first: the other follows from their product without cancellation.
    far = -(half + np.copysign(inner, half))
    return np.stack([_ratio(far, leading), _ratio(constant, far)], axis=1)


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Zero where the denominator is, or where the ratio is beyond all numbers."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = numerator / denominator
    return np.where(np.isfinite(ratio), ratio, 0.0)


def _roots(coefficients: Array) -> Array:
    """Real parts of the roots of polynomials ``[n, 5]``, by ascending powers; of a lower degree some are far away."""
    size = np.abs(coefficients).max(axis=1, keepdims=True)
    scaled = coefficients / np.where(size > 0, size, 1.0)
    leading = np.where(np.abs(scaled[:, 4]) > _LEAST, scaled[:, 4], _LEAST)
    companion = np.zeros((len(scaled), 4, 4))
    companion[:, [1, 2, 3], [0, 1, 2]] = 1.0
    companion[:, :, 3] = -scaled[:, :4] / leading[:, None]
    roots = np.linalg.eigvals(companion).real
    for _ in range(2):  # the far ones cost the near ones digits
        value = slope = np.zeros_like(roots)
        for power in range(4, -1, -1):
            value, slope = value * roots + scaled[:, [power]], slope * roots + value
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = value / slope
        near = np.isfinite(step) & (np.abs(step) < 1e-6 * (1 + np.abs(roots)))
        roots = np.where(near, roots - np.where(near, step, 0.0), roots)
    return np.asarray(roots)


def _counts(draws: _Draws) -> tuple[Array, Array]:
    """Ends ``[m]`` in ascending order, and how many draws are extreme before, between and after them ``[m + 1]``."""
    breaks = np.sort(draws.breaks(), axis=1)
    outside = 1 + np.abs(breaks[:, [0, -1]])
    middles = np.concatenate(
        [
            breaks[:, :1] - outside[:, :1],
            (breaks[:, :-1] + breaks[:, 1:]) / 2,
            breaks[:, -1:] + outside[:, 1:],
        ],
        axis=1,
    )
    extreme = draws.extreme(middles).astype(np.int64)
    change = np.diff(extreme, axis=1)
    changes = change != 0
    ends, place = np.unique(breaks[changes], return_inverse=True)
    steps = np.bincount(place, change[changes], len(ends))
    return ends, extreme[:, 0].sum() + np.append(0.0, np.cumsum(steps))
