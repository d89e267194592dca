"""First stage: the treatment on controls and the instrument."""

from __future__ import annotations

from engine.estimate.estimator import EstimatorFunctions
from engine.estimate.estimators.twfe import policy_terms
from engine.estimate.terms import Regression, Term


def treatment_on_columns(columns: tuple[Term, ...], terms: tuple[Term, ...]) -> Regression:
    """Least squares of the treatment on the columns, the instrument among them."""
    return Regression(columns, outcome=terms[0])


FUNCTIONS = EstimatorFunctions(policy_terms, treatment_on_columns)
