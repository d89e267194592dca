"""Poisson pseudo-maximum likelihood: the outcome's mean is exponential in columns and the effects of the job.

Effects are percentages, zeros stay, and the errors need no variance of any form. Sources: Santos Silva and Tenreyro
(2006); `engine.estimate.poisson_fit`.
"""

from __future__ import annotations

from engine.estimate.estimator import EstimatorFunctions
from engine.estimate.estimators.twfe import on_columns_and_terms, policy_terms

FUNCTIONS = EstimatorFunctions(policy_terms, on_columns_and_terms)
