"""Two-stage least squares: the outcome on controls and the treatment, the instrument in the treatment's place."""

from __future__ import annotations

from engine.estimate.estimator import EstimatorFunctions
from engine.estimate.estimators.twfe import policy_terms
from engine.estimate.fit import Stage
from engine.estimate.instrument import Instrumented, instrumented
from engine.estimate.terms import Regression, Term


def treatment_by_instrument(columns: tuple[Term, ...], terms: tuple[Term, ...]) -> Regression:
    """The treatment beside the controls; the instrument is the last of the columns."""
    return Regression((*columns[:-1], *terms), instruments=columns)


def instrument_regressions(stage: Stage, regression: Regression) -> Instrumented:
    """First stage and reduced form of the regression."""
    return instrumented(stage, regression.instruments or (), regression.regressors[-1])


FUNCTIONS = EstimatorFunctions(
    policy_terms, treatment_by_instrument, instrument_regressions=instrument_regressions
)
