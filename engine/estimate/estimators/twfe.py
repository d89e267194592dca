"""Two-way fixed effects: the outcome on controls and one treatment path, with the effects of the job."""

from __future__ import annotations

import numpy as np

from engine.errors import InputError
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.terms import Regression, Term
from engine.pairs.treatment import Terms, policy_paths


def policy_terms(timing: PairTiming) -> Terms:
    """The treatment of each pair under its rule, as one term.

    Raises
    ------
    InputError
        Where no pair of the sample's classes changes treatment.
    """
    path = policy_paths(timing.adoption, timing.years, timing.rule)
    if not (timing.exists & (np.ptp(path, axis=2) > 0)).any():
        raise InputError(
            f"rule {timing.rule}: no pair changes treatment within "
            f"{timing.years[0]:.0f} to {timing.years[-1]:.0f}, so the treatment has no variation",
            where="treatment",
            remedy="check the adoption years, treatment.rule and pairs.exclude",
        )
    return Terms((timing.term,), path[..., None])


def on_columns_and_terms(columns: tuple[Term, ...], terms: tuple[Term, ...]) -> Regression:
    """Least squares of the outcome on columns and treatment terms."""
    return Regression((*columns, *terms))


FUNCTIONS = EstimatorFunctions(policy_terms, on_columns_and_terms)
