"""Fixed effects absorbed from columns of rows: one door to the methods.

`prepare` examines the effects once, `absorb` takes any columns and chooses the method (`method`): closed forms on
complete grids, dense normal equations, conjugate gradients, alternating projections.
"""

from engine.estimate.absorb.method import Absorbed, Effect, Plan, absorb, degrees_absorbed, nested_in, prepare

__all__ = ["Absorbed", "Effect", "Plan", "absorb", "degrees_absorbed", "nested_in", "prepare"]
