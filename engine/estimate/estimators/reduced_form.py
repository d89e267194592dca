"""Reduced form: the outcome on controls and the instrument."""

from __future__ import annotations

from engine.estimate.estimator import EstimatorFunctions
from engine.estimate.estimators.twfe import policy_terms
from engine.estimate.terms import Regression, Term


def on_columns(columns: tuple[Term, ...], terms: tuple[Term, ...]) -> Regression:
    """Least squares of the outcome on the columns, the instrument among them."""
    return Regression(columns)


FUNCTIONS = EstimatorFunctions(policy_terms, on_columns)
