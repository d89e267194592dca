"""Outcomes of pairs of cities: a registry of names, and a file an outcome with its formula.

``spec``, plan, frames and report read `OUTCOMES`, which imports neither JAX nor Dask; an outcome's file is imported
where pairs are computed. A new outcome is its file, which holds

    pair_values(y_i, y_j, w_i, w_j, standardisation) -> float64 [pairs, years]

with the series (and weights, else None) of the two cities, and its entry here. Its job key is ``outcome.<name>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class OutcomeKind:
    """An outcome's name, and the city arrays that it is computed from.

    Attributes
    ----------
    name : str
        Job key, name in frames, and name of the file.
    description : str
        Of the job key, whose value is the city series.
    weighted : bool
        Takes a positive weight of each city and year, ``outcome.weight``.
    standardised : bool
        Of series standardised over ``outcome.window``. They must vary; a pair-year whose series coincide is infinite.
    positive : bool
        The series must be positive.
    """

    name: str
    description: str
    weighted: bool = False
    standardised: bool = False
    positive: bool = False

    def label(self, series: str) -> str:
        """Name of the outcome in frames, tables and figures, ``synchronization of development``."""
        return f"{self.name} of {series}"

    @property
    def pair_values(self) -> Callable[..., Any]:
        """The formula, from the outcome's file."""
        return import_module(f"{__name__}.{self.name}").pair_values  # type: ignore[no-any-return]


OUTCOMES: Mapping[str, OutcomeKind] = {
    kind.name: kind
    for kind in (
        OutcomeKind(
            "synchronization",
            description="city series, an index among them: Fisher-type transform of the Cerqueira-Martins index of "
            "the two cities' series",
            standardised=True,
        ),
        OutcomeKind(
            "variation",
            description="city series whose weighted coefficient of variation within the pair is the outcome",
            weighted=True,
            positive=True,
        ),
    )
}
"""Every outcome of a panel job by name, in the order of the job file's reference."""
