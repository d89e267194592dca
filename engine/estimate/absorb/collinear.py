"""Regressors that fixed effects explain, alone or with the regressors before them: named, and refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.errors import InputError
from engine.estimate.absorb.levels import Effect
from engine.estimate.normal import collinear, explaining


@dataclass(frozen=True)
class Collinear:
    """A regressor that adds nothing.

    Attributes
    ----------
    name : str
    partners : tuple of str
        Regressors before it that explain it together with the effects; none if the effects alone do.
    """

    name: str
    partners: tuple[str, ...]


def find_collinear(
    residuals: Array,
    columns: Array,
    names: Sequence[str],
    *,
    weights: Array | None = None,
    tolerance: float = 1e-9,
) -> tuple[Collinear, ...]:
    """Regressors that the effects, or the effects and the regressors before them, explain entirely.

    Parameters
    ----------
    residuals : float64 ``[n_kept, n_regressors]``
    columns : float64 ``[n_kept, n_regressors]``
        The regressors as given, on the same rows.
    names : sequence of str ``[n_regressors]``
    weights : float64 ``[n_kept]``, optional
    tolerance : float
        Share of its variation that a regressor must keep.
    """
    if residuals.shape != columns.shape or columns.shape[1:] != (len(names),):
        raise ValueError(
            f"expected residuals and columns [n_kept, {len(names)}], got {residuals.shape}, {columns.shape}"
        )
    names, w = tuple(names), np.ones(len(columns)) if weights is None else weights
    # The second term is far above the rounding of a column that does not vary, and far below any variation
    # that sixteen digits could tell from it.
    centred = columns - w @ columns / w.sum()
    variation = w @ (centred - w @ centred / w.sum()) ** 2 + 1e-20 * (w @ columns**2)
    q = residuals.T @ (residuals * w[:, None])
    collinear_regressors = []
    absorbed = [name for k, name in enumerate(names) if not q[k, k] > tolerance * variation[k]]
    free = [k for k, name in enumerate(names) if name not in absorbed]
    # Against what the effects leave of a regressor, not against its variation: that may be mostly theirs.
    dropped = collinear(q[np.ix_(free, free)], np.diag(q)[free], tuple(names[k] for k in free), tolerance)
    for k, name in enumerate(names):
        if name in absorbed:
            collinear_regressors.append(Collinear(name, ()))
        elif name in dropped:
            retained = [n for n in free if n < k and names[n] not in dropped]
            collinear_regressors.append(Collinear(name, tuple(explaining(q, k, retained, names))))
    return tuple(collinear_regressors)


def refuse_collinear(
    collinear_regressors: Sequence[Collinear], effects: Sequence[Effect], *, both_treated_kept: bool
) -> None:
    """Raise InputError that names the first collinear regressor, what explains it, and the way out.

    Parameters
    ----------
    collinear_regressors : sequence of Collinear
    effects : sequence of Effect
    both_treated_kept : bool
        Whether the sample has pairs of two treated units. Without them a treatment that is the sum of its
        members' own is the sum of two levels of unit x year.
    """
    if not collinear_regressors:
        return
    first = collinear_regressors[0]
    names = ", ".join(effect.name for effect in effects)
    if first.partners:
        everyone = ", ".join([*first.partners, first.name])
        raise InputError(
            f"'{first.name}' is collinear with {', '.join(first.partners)} once {names} are removed",
            remedy=f"leave out one of {everyone}",
        )
    remedy = "leave it out, or use coarser effects"
    by_member = [
        effect.name for effect in effects if np.ndim(effect.codes) == 2 and effect.codes.shape[1] == 2
    ]
    if by_member and not both_treated_kept:
        remedy = (
            f"without pairs of two treated units a treatment is the sum of its members' {by_member[0]} effects: "
            f"keep those pairs, or leave out {by_member[0]}"
        )
    raise InputError(f"'{first.name}' has no variation left once {names} are removed", remedy=remedy)
