"""One-to-one nearest neighbours on a propensity score, from one sort: n log n, where a plain search needs n_1 n_0.

    controls sorted by (group, score, id) --> place of each treated row among them
    with replacement      the nearer of the two neighbours, for all treated rows at once
    without replacement   one treated row after another; controls taken are skipped by path halving (Tarjan)

Ties are equal distances, as float64 differences: the control of the smallest id is taken. Nothing depends on the
order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Flags, LongIntegers, Words
from engine.errors import InputError


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
class MatchOptions:
    """How controls are chosen.

    Attributes
    ----------
    caliper : float, optional
        Widest distance, in standard deviations of the score: sqrt((s_1^2 + s_0^2) / 2), s_1^2 and s_0^2 the
        variances of treated and controls in all groups together. 0.2 is Austin's.
    replacement : bool
        A control may be taken many times. Else treated rows choose one after another from those that remain, in
        the order of a random word of (seed, id): drawn by lot, and the same for any order of the rows.
    common_support : bool
        Leave out treated rows with a score outside the range of the controls of their group.
    seed : int
        0 <= seed < 2^64.
    """

    caliper: float | None = None
    replacement: bool = True
    common_support: bool = True
    seed: int = 0


@dataclass(frozen=True)
class _SortedRows:
    """Treated rows, and controls sorted by group, score and id.

    Attributes
    ----------
    rows : int64 ``[n_treated]``
    ids : int64 ``[n_treated]``
    scores : float64 ``[n_treated]``
    controls : int64 ``[n_controls]``
        Rows, sorted.
    control_ids : int64 ``[n_controls]``
    control_scores : float64 ``[n_controls]``
    first : int64 ``[n_controls]``
        Place of the first control of the same group and score.
    insertion : int64 ``[n_treated]``
        Places before it hold scores up to that of the treated row, or earlier groups.
    start, stop : int64 ``[n_treated]``
        Places of the treated row's group.
    """

    rows: LongIntegers
    ids: LongIntegers
    scores: Array
    controls: LongIntegers
    control_ids: LongIntegers
    control_scores: Array
    first: LongIntegers
    insertion: LongIntegers
    start: LongIntegers
    stop: LongIntegers


def match(
    score: Array,
    treated: Flags,
    *,
    ids: LongIntegers,
    groups: LongIntegers | None = None,
    options: MatchOptions = MatchOptions(),
) -> Matched:
    """The nearest control of each treated row: argmin |score_t - score_c|, ties to the smallest id.

    Parameters
    ----------
    score : float64 ``[n]``
        Distance is a difference of scores. Give the linear index of the logit, log(p / (1 - p)): it does not
        crowd at 0 and 1 (Rosenbaum and Rubin 1985). Probabilities are matched as they are.
    treated : bool ``[n]``
    ids : int64 ``[n]``
        The name of a row, once in a group.
    groups : int ``[n]``, optional
        Controls are taken from the same group only: year by year.
    options : MatchOptions

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
    width = np.inf if options.caliper is None else _width(score, treated, options.caliper)
    sample = _sort(score, treated, ids, group)
    on_support = np.ones(len(sample.rows), dtype=bool)
    if options.common_support:
        on_support = ~_off_support(sample)
    if options.replacement:
        place, distance = _with_replacement(sample, on_support, width)
    else:
        place, distance = _without_replacement(sample, on_support, width, options.seed)
    return _matched(len(score), sample, on_support, width, place, distance)


def _matched(
    n: int, sample: _SortedRows, on_support: Flags, width: float, place: LongIntegers, distance: Array
) -> Matched:
    """The result for ``n`` rows, from the place of each treated row's control, -1 for none."""
    is_matched = place >= 0
    if not is_matched.any():
        raise InputError(
            f"none of {len(sample.rows):,} treated rows finds a control",
            where="matching",
            remedy="widen the caliper, allow scores off the common support, or match on fewer controls",
        )
    rows, partner = sample.rows[is_matched], sample.controls[place[is_matched]]
    weight = np.bincount(partner, minlength=n).astype(np.float64)
    n_controls_used = int((weight > 0).sum())
    weight[rows] = 1.0
    return Matched(
        weight=weight,
        rows=rows,
        partner=partner,
        distance=distance[is_matched],
        width=float(width),
        n_treated=len(sample.rows),
        n_controls=len(sample.controls),
        n_off_support=int((~on_support).sum()),
        n_unmatched=int((on_support & ~is_matched).sum()),
        n_controls_used=n_controls_used,
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


def _sort(score: Array, treated: Flags, ids: LongIntegers, group: LongIntegers) -> _SortedRows:
    # Group and rank of the score in one integer, so that one search serves all groups.
    values, rank = np.unique(score, return_inverse=True)
    key = group * len(values) + rank
    rows, controls = np.flatnonzero(treated), np.flatnonzero(~treated)
    controls = controls[np.lexsort((ids[controls], key[controls]))]
    control_keys = key[controls]
    new = np.concatenate([[True], control_keys[1:] != control_keys[:-1]])
    edges = np.searchsorted(control_keys, np.arange(group.max() + 2) * len(values))
    return _SortedRows(
        rows=rows,
        ids=ids[rows],
        scores=score[rows],
        controls=controls,
        control_ids=ids[controls],
        control_scores=score[controls],
        first=np.maximum.accumulate(np.where(new, np.arange(len(controls)), 0)),
        insertion=np.searchsorted(control_keys, key[rows], side="right"),
        start=edges[group[rows]],
        stop=edges[group[rows] + 1],
    )


def _off_support(sample: _SortedRows) -> Flags:
    """Outside the range of the controls; where a group has none there is no range, and no match either."""
    has_controls = sample.start < sample.stop
    lowest = sample.control_scores[np.where(has_controls, sample.start, 0)]
    highest = sample.control_scores[np.where(has_controls, sample.stop, 1) - 1]
    return has_controls & ((sample.scores < lowest) | (sample.scores > highest))


def _with_replacement(sample: _SortedRows, on_support: Flags, width: float) -> tuple[LongIntegers, Array]:
    """Place of the nearest control of each treated row, -1 for none, and its distance."""
    scores, control_scores, control_ids = sample.scores, sample.control_scores, sample.control_ids
    has_lower, has_upper = sample.insertion > sample.start, sample.insertion < sample.stop
    lower = sample.first[np.where(has_lower, sample.insertion, 1) - 1]
    upper = np.where(has_upper, sample.insertion, 0)
    to_lower = np.where(has_lower, scores - control_scores[lower], np.inf)
    to_upper = np.where(has_upper, control_scores[upper] - scores, np.inf)
    is_lower = (to_lower < to_upper) | ((to_lower == to_upper) & (control_ids[lower] < control_ids[upper]))
    distance = np.minimum(to_lower, to_upper)
    allowed = on_support & (has_lower | has_upper) & (distance <= width)
    return np.where(allowed, np.where(is_lower, lower, upper), -1), distance


def _without_replacement(
    sample: _SortedRows, on_support: Flags, width: float, seed: int
) -> tuple[LongIntegers, Array]:
    """As `_with_replacement`, from the controls that earlier treated rows have not taken."""
    # Plain lists: the loop reads single numbers, for which they are several times as fast as arrays.
    control_scores, control_ids = sample.control_scores.tolist(), sample.control_ids.tolist()
    scores, first = sample.scores.tolist(), sample.first.tolist()
    insertion, start, stop = sample.insertion.tolist(), sample.start.tolist(), sample.stop.tolist()
    # Forests whose roots are the free controls: upward[p] leads to the next at or after p, downward[p + 1] to
    # the next at or before p, plus one.
    upward, downward = list(range(len(control_scores) + 1)), list(range(len(control_scores) + 1))
    place, distance = np.full(len(scores), -1), np.full(len(scores), np.inf)
    queue = np.flatnonzero(on_support)
    for t in queue[np.argsort(_words(seed, sample.ids[queue]))].tolist():
        lower, upper = _root(downward, insertion[t]) - 1, _root(upward, insertion[t])
        to_lower = scores[t] - control_scores[lower] if lower >= start[t] else np.inf
        to_upper = control_scores[upper] - scores[t] if upper < stop[t] else np.inf
        if to_lower <= to_upper and to_lower < np.inf:
            # Of equal scores the smallest id is the first that is free.
            lower = _root(upward, first[lower])
        if to_lower < to_upper or (to_lower == to_upper < np.inf and control_ids[lower] < control_ids[upper]):
            nearest, gap = lower, to_lower
        else:
            nearest, gap = upper, to_upper
        if gap <= width and gap < np.inf:
            place[t], distance[t] = nearest, gap
            upward[nearest], downward[nearest + 1] = nearest + 1, nearest
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
        group_name = "controls" if treated.any() else "treated rows"
        raise InputError(
            f"there are no {group_name} among {len(score):,} rows",
            where="matching",
            remedy="check the adoption years, the years, and what pairs.exclude drops",
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
