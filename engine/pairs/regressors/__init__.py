"""Pair regressors: a registry of the kinds of control (and instrument), and a file a formula.

``spec`` and stages read `REGRESSORS`, which imports neither JAX nor Dask. A new kind is its file, which holds

    pair_values(x_i, x_j, standardisation=None) -> float64 [pairs, years, columns]

with the city columns ``[pairs, years, columns]`` of the two cities, and its entry here. Its job key is
``controls.<column>.<name>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class RegressorKind:
    """A kind of pair regressor, and the city columns that it is computed from.

    Attributes
    ----------
    name : str
        Job key.
    formula : str
        The file; kinds of one formula are computed together.
    description : str
        Of the job key, whose value is the city column.
    logged : bool
        The city column is the logarithm of the job's.
    centred : bool
        City means, which pair effects absorb, are removed first: a sum of deviations has digits that a sum of large
        levels has not.
    standardised : bool
        Of standardised series, which must vary. Their pair column is lagged, not the series, and may be infinite.
    """

    name: str
    formula: str
    description: str
    logged: bool = False
    centred: bool = False
    standardised: bool = False

    @property
    def pair_values(self) -> Callable[..., Any]:
        """The formula, from its file."""
        return import_module(f"{__name__}.{self.formula}").pair_values  # type: ignore[no-any-return]


REGRESSORS: Mapping[str, RegressorKind] = {
    kind.name: kind
    for kind in (
        RegressorKind(
            "neg_abs_log_diff",
            "neg_abs_diff",
            description="minus the absolute difference of the logarithms of a city column",
            logged=True,
        ),
        RegressorKind(
            "neg_abs_diff",
            "neg_abs_diff",
            description="minus the absolute difference of a city column",
        ),
        RegressorKind("sum", "sum", description="sum of the two cities' values", centred=True),
        RegressorKind(
            "synchronization",
            "lagged_synchronization",
            description="synchronization of a city series",
            standardised=True,
        ),
    )
}
"""Every kind of control by job key, in the order of the job file's reference."""
