"""Fixed effects absorbed from columns of rows: one door to the methods.

`prepare` examines the effects once, `absorb` takes any columns and chooses the method (`method`): closed forms on
complete grids, dense normal equations, conjugate gradients, alternating projections.
"""

from engine.estimate.absorb.collinear import Collinear, find_collinear, refuse_collinear
from engine.estimate.absorb.levels import Effect, degrees_absorbed, nested_in, rows_not_alone
from engine.estimate.absorb.method import Absorbed, absorb, prepare
from engine.estimate.absorb.plan import AbsorptionPlan

__all__ = [
    "Absorbed",
    "AbsorptionPlan",
    "Collinear",
    "Effect",
    "absorb",
    "degrees_absorbed",
    "find_collinear",
    "nested_in",
    "prepare",
    "refuse_collinear",
    "rows_not_alone",
]
