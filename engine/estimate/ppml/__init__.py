"""Poisson pseudo-maximum likelihood with any fixed effects: separated rows, the iteration, the fit's numbers.

    E[y] = exp(offset + x b + effects),   sum over rows of w (y - mu) x = 0

`separation` finds rows for which no finite estimate exists, `iteration` solves the equations on the absorption engine,
`likelihood` has deviance and pseudo R2.
"""

from engine.estimate.ppml.iteration import PoissonProblem, PoissonSolution, solve_poisson
from engine.estimate.ppml.likelihood import deviance, pseudo_r2
from engine.estimate.ppml.separation import Separation, find_separated

__all__ = [
    "PoissonProblem",
    "PoissonSolution",
    "Separation",
    "deviance",
    "find_separated",
    "pseudo_r2",
    "solve_poisson",
]
