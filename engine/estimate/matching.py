"""One-to-one nearest neighbours on a propensity score, from one sort: n log n, where a plain search needs n_1 n_0.

    controls sorted by (group, score, id) --> place of each treated row among them
    with replacement      the nearer of the two neighbours, for all treated rows at once
    without replacement   one treated row after another; controls taken are skipped by path halving (Tarjan)

Ties are equal distances, as float64 differences: the control of the smallest id is taken. Nothing depends on the
order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags, LongIntegers, Words
from engine.errors import InputError

MEASURES = ("mean_treated", "mean_control", "smd", "variance_ratio", "t")
"""What `balance` has of every column, before and after."""


@dataclass(frozen=True)
class Matched:
    """Matched pairs of a treated row and a control, and the weights of the matched sample.

    Attributes
    ----------
    weight : float64 ``[n]``
        1 for matched treated rows, how often it was taken for a control, 0 otherwise.
    rows, partner : int64 ``[n_matched]``
        Matched treated rows, ascending, and the control of each.
    distance : float64 ``[n_matched]``
        Absolute difference of scores.
    width : float
        The widest distance allowed, in units of the score; infinite without a caliper.
    n_treated, n_controls : int
        Rows to match, and rows to choose from.
    n_off_support : int
        Treated rows whose score no control of their group reaches, or all exceed; never matched.
    n_unmatched : int
        Treated rows on the support without a control: none near enough, or none left. Matched, off support
        and unmatched add up to ``n_treated``.
    n_controls_used : int
        Different controls taken.
    """

    weight: Array
    rows: LongIntegers
    partner: LongIntegers
    distance: Array
    width: float
    n_treated: int
    n_controls: int
    n_off_support: int
    n_unmatched: int
    n_controls_used: int


@dataclass(frozen=True)
class _Places:
    """Treated rows among the sorted controls.

    Attributes
    ----------
    rows : int64 ``[n_treated]``
    controls : int64 ``[n_controls]``
        Rows, sorted by group, score and id.
    first : int64 ``[n_controls]``
        Place of the first control of the same group and score.
    below : int64 ``[n_treated]``
        Places before it hold scores up to the treated row's own, or earlier groups.
    start, stop : int64 ``[n_treated]``
        Places of the treated row's group.
    """

    rows: LongIntegers
    controls: LongIntegers
    first: LongIntegers
    below: LongIntegers
    start: LongIntegers
    stop: LongIntegers


def match(
    score: Array,
    treated: Flags,
    *,
    ids: LongIntegers,
    groups: LongIntegers | None = None,
    caliper: float | None = None,
    replacement: bool = True,
    common_support: bool = True,
    seed: int = 0,
) -> Matched:
    """The nearest control of each treated row: argmin |score_t - score_c|, ties to the smallest id.

    Parameters
    ----------
    score : float64 ``[n]``
        What distance is measured in. Give the linear index of the logit, log(p / (1 - p)): it does not
        crowd at 0 and 1 (Rosenbaum and Rubin 1985). Probabilities are matched as they are.
    treated : bool ``[n]``
    ids : int64 ``[n]``
        What names a row, once in a group.
    groups : int ``[n]``, optional
        Controls are taken from the same group only: year by year.
    caliper : float, optional
        Widest distance, in standard deviations of the score: sqrt((s_1^2 + s_0^2) / 2), s_1^2 and s_0^2 the
        variances of treated and controls in all groups together. 0.2 is Austin's.
    replacement : bool
        A control may be taken many times. Else treated rows choose one after another from what is left, in
        the order of a random word of (seed, id): drawn by lot, and the same for any order of the rows.
    common_support : bool
        Leave out treated rows with a score outside the range of the controls of their group.
    seed : int
        0 <= seed < 2^64.

    Raises
    ------
    InputError
        Where a score is missing, treated or controls are absent, the caliper is not positive, or no treated
        row finds a control.

    References
    ----------
    Rosenbaum and Rubin (1985), American Statistician 39(1); Austin (2011), Pharmaceutical Statistics 10(2);
    common support as the option of that name of psmatch2 (Leuven and Sianesi 2003).
    """
    score, treated = np.asarray(score, dtype=np.float64), np.asarray(treated, dtype=bool)
    ids = np.asarray(ids, dtype=np.int64)
    group = np.zeros(len(score), dtype=np.int64)
    if groups is not None:
        group = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    _check(score, treated, ids, group)
    width = np.inf if caliper is None else _width(score, treated, caliper)
    places = _sort(score, treated, ids, group)
    if common_support:
        on = ~_off_support(score, places)
    else:
        on = np.ones(len(places.rows), dtype=bool)
    take = _taken_often if replacement else _taken_once
    place, distance = take(score, ids, places, on, width, seed)
    found = place >= 0
    rows, partner = places.rows[found], places.controls[place[found]]
    if not len(rows):
        raise InputError(
            f"none of {len(places.rows):,} treated rows finds a control",
            where="matching",
            remedy="widen the caliper, allow scores off the common support, or match on fewer controls",
        )
    weight = np.bincount(partner, minlength=len(score)).astype(np.float64)
    used = int((weight > 0).sum())
    weight[rows] = 1.0
    return Matched(
        weight=weight,
        rows=rows,
        partner=partner,
        distance=distance[found],
        width=float(width),
        n_treated=len(places.rows),
        n_controls=len(places.controls),
        n_off_support=int((~on).sum()),
        n_unmatched=int((on & ~found).sum()),
        n_controls_used=used,
    )


def _width(score: Array, treated: Flags, caliper: float) -> float:
    if not (np.isfinite(caliper) and caliper > 0):
        raise InputError(
            f"the caliper is {caliper}", where="matching.caliper", remedy="give a positive number, e.g. 0.2"
        )
    if min(treated.sum(), (~treated).sum()) < 2:
        raise InputError(
            "a caliper in standard deviations needs two treated rows and two controls",
            where="matching.caliper",
            remedy="leave the caliper out, or keep more pairs",
        )
    spread = (score[treated].var(ddof=1) + score[~treated].var(ddof=1)) / 2
    return float(caliper * np.sqrt(spread))


def _sort(score: Array, treated: Flags, ids: LongIntegers, group: LongIntegers) -> _Places:
    # Group and rank of the score in one integer, so that one search serves all groups.
    values, rank = np.unique(score, return_inverse=True)
    key = group * len(values) + rank
    rows, controls = np.flatnonzero(treated), np.flatnonzero(~treated)
    controls = controls[np.lexsort((ids[controls], key[controls]))]
    known = key[controls]
    new = np.concatenate([[True], known[1:] != known[:-1]])
    edges = np.searchsorted(known, np.arange(group.max() + 2) * len(values))
    return _Places(
        rows=rows,
        controls=controls,
        first=np.maximum.accumulate(np.where(new, np.arange(len(known)), 0)),
        below=np.searchsorted(known, key[rows], side="right"),
        start=edges[group[rows]],
        stop=edges[group[rows] + 1],
    )


def _off_support(score: Array, places: _Places) -> Flags:
    """Outside the range of the controls; where a group has none there is no range, and no match either."""
    some = places.start < places.stop
    own, sorted_scores = score[places.rows], score[places.controls]
    lowest = sorted_scores[np.where(some, places.start, 0)]
    highest = sorted_scores[np.where(some, places.stop, 1) - 1]
    return some & ((own < lowest) | (own > highest))


def _taken_often(
    score: Array, ids: LongIntegers, places: _Places, on: Flags, width: float, seed: int
) -> tuple[LongIntegers, Array]:
    """Place of the nearest control of each treated row, -1 for none, and its distance."""
    own, known, names = score[places.rows], score[places.controls], ids[places.controls]
    has_left, has_right = places.below > places.start, places.below < places.stop
    left = places.first[np.where(has_left, places.below, 1) - 1]
    right = np.where(has_right, places.below, 0)
    to_left = np.where(has_left, own - known[left], np.inf)
    to_right = np.where(has_right, known[right] - own, np.inf)
    is_left = (to_left < to_right) | ((to_left == to_right) & (names[left] < names[right]))
    distance = np.minimum(to_left, to_right)
    allowed = on & (has_left | has_right) & (distance <= width)
    return np.where(allowed, np.where(is_left, left, right), -1), distance


def _taken_once(
    score: Array, ids: LongIntegers, places: _Places, on: Flags, width: float, seed: int
) -> tuple[LongIntegers, Array]:
    """As `_taken_often`, from the controls that earlier treated rows have left."""
    # Plain lists: the loop reads single numbers, for which they are several times as fast as arrays.
    known, names = score[places.controls].tolist(), ids[places.controls].tolist()
    own, first = score[places.rows].tolist(), places.first.tolist()
    below, start, stop = places.below.tolist(), places.start.tolist(), places.stop.tolist()
    # Forests whose roots are the controls left: upward[p] leads to the next at or after p, downward[p + 1] to
    # the next at or before p, plus one.
    upward, downward = list(range(len(known) + 1)), list(range(len(known) + 1))
    place, distance = np.full(len(own), -1), np.full(len(own), np.inf)
    queue = np.flatnonzero(on)
    for t in queue[np.argsort(_words(seed, ids[places.rows[queue]]))].tolist():
        left, right = _root(downward, below[t]) - 1, _root(upward, below[t])
        to_left = own[t] - known[left] if left >= start[t] else np.inf
        to_right = known[right] - own[t] if right < stop[t] else np.inf
        if to_left <= to_right and to_left < np.inf:
            # Of equal scores the smallest id is the first that is left.
            left = _root(upward, first[left])
        if to_left < to_right or (to_left == to_right < np.inf and names[left] < names[right]):
            right, to_right = left, to_left
        if to_right <= width and to_right < np.inf:
            place[t], distance[t] = right, to_right
            upward[right], downward[right + 1] = right + 1, right
    return place, distance


def _root(parents: list[int], node: int) -> int:
    while parents[node] != node:
        parents[node] = node = parents[parents[node]]
    return node


def _words(seed: int, ids: LongIntegers) -> Words:
    """64 bits for each id, all different: the mixing function of SplitMix64 (Steele, Lea and Flood 2014)."""
    return _mixed(ids.astype(np.uint64) + _mixed(np.array([seed], dtype=np.uint64) + _GOLDEN))


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(z: Words) -> Words:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _check(score: Array, treated: Flags, ids: LongIntegers, group: LongIntegers) -> None:
    if score.ndim != 1 or not score.shape == treated.shape == ids.shape == group.shape:
        raise ValueError(
            f"expected arrays of one length, got score {score.shape}, treated {treated.shape}, ids {ids.shape}, "
            f"groups {group.shape}"
        )
    if not treated.any() or treated.all():
        what = "controls" if treated.any() else "treated rows"
        raise InputError(
            f"there are no {what} among {len(score):,} rows",
            where="matching",
            remedy="check treatment.adoption, the years, and what pairs.exclude drops",
        )
    missing = int((~np.isfinite(score)).sum())
    if missing:
        raise InputError(
            f"the score is missing or infinite in {missing:,} rows",
            where="matching",
            remedy="match on the index of a logit that has converged",
        )
    order = np.lexsort((ids, group))
    if ((np.diff(ids[order]) == 0) & (np.diff(group[order]) == 0)).any():
        raise ValueError("expected every id once in a group")


def balance(columns: Array, treated: Flags, weight: Array, *, names: Sequence[str]) -> pd.DataFrame:
    """Means, standardised differences, variance ratios and t of every column, before and after matching.

    smd = (m_1 - m_0) / sqrt((s_1^2 + s_0^2) / 2) with the variances of the unmatched sample both times, so that
    it moves with the means alone. variance_ratio = s_1^2 / s_0^2, after matching of weighted variances
    sum w (x - m)^2 / (sum w - 1). t is that of the treated indicator in (weighted) least squares of the column
    on it, with n - 2 degrees of freedom, n the rows of positive weight; it treats rows as independent, which
    pairs that share a city are not, and it falls with the size of a sample: a description, no test.

    Parameters
    ----------
    columns : float64 ``[n, k]``
    treated : bool ``[n]``
    weight : float64 ``[n]``
        Of the matched sample: `Matched.weight`. Before matching every row counts once.
    names : sequence of str, k of them

    Returns
    -------
    DataFrame ``[k]``
        column, mean_treated_before, mean_control_before, smd_before, variance_ratio_before, t_before, and the
        same with _after. NaN where a variance is zero or has one row only.

    Raises
    ------
    InputError
        Where the treated or the controls are absent, before or after.

    References
    ----------
    Rosenbaum and Rubin (1985), American Statistician 39(1), for smd; pstest (Leuven and Sianesi 2003) for t and
    the variance ratio.
    """
    columns, treated = np.asarray(columns, dtype=np.float64), np.asarray(treated, dtype=bool)
    weight = np.asarray(weight, dtype=np.float64)
    if columns.ndim != 2 or columns.shape != (len(treated), len(names)) or weight.shape != treated.shape:
        raise ValueError(
            f"expected columns [n, {len(names)}] and [n] treated and weights, got {columns.shape}, "
            f"{treated.shape}, {weight.shape}"
        )
    out: dict[str, Any] = {"column": list(names)}
    centre = columns.mean(axis=0)  # differences of means far from zero would keep few digits
    columns = columns - centre
    denominator = np.zeros(columns.shape[1])
    for when, w in (("before", np.ones(len(treated))), ("after", weight)):
        kept = w > 0
        parts = [_moments(columns[rows], w[rows], centre, when) for rows in (kept & treated, kept & ~treated)]
        (mean_1, square_1, sum_1), (mean_0, square_0, sum_0) = parts
        with np.errstate(divide="ignore", invalid="ignore"):
            variance_1, variance_0 = square_1 / (sum_1 - 1), square_0 / (sum_0 - 1)
            if when == "before":
                denominator = np.sqrt((variance_1 + variance_0) / 2)
            error = np.sqrt((square_1 + square_0) / (kept.sum() - 2) * (1 / sum_1 + 1 / sum_0))
            values = (
                centre + mean_1,
                centre + mean_0,
                (mean_1 - mean_0) / denominator,
                variance_1 / variance_0,
                (mean_1 - mean_0) / error,
            )
        for measure, value in zip(MEASURES, values, strict=True):
            out[f"{measure}_{when}"] = np.where(np.isfinite(value), value, np.nan)
    return pd.DataFrame(out)


def _moments(x: Array, w: Array, centre: Array, when: str) -> tuple[Array, Array, float]:
    """Weighted mean, sum of squares around it, and sum of weights, of columns less a ``centre``."""
    if not len(x):
        raise InputError(
            f"there are no treated rows, or no controls, {when} matching",
            where="balance",
            remedy="widen the caliper, or check which pairs the filters keep",
        )
    mean = w @ x / w.sum()
    square = w @ (x - mean) ** 2
    # What rounding leaves of a constant must not pass for a variance.
    rounding = (8 * np.finfo(float).eps) ** 2 * (w @ (np.abs(x) + np.abs(centre)) ** 2)
    return mean, np.where(square > rounding, square, 0.0), float(w.sum())
