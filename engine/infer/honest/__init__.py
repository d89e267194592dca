"""Confidence sets for effects after adoption where trends were not quite parallel (Rambachan and Roth 2023).

Event-study coefficients are beta = tau + delta: effects tau, zero before adoption, and a difference in trends delta,
zero in the reference period. What is assumed of delta is a union of polyhedra (`restrictions`); a set of the values of
a weighted sum of tau that a test does not reject follows (`moment_inequalities`), or, where delta is smooth and nothing
else, the shortest interval of fixed length around a linear estimate (`fixed_length`). `sensitivity` has both by the
size of what is allowed, and the size at which the sign of the effect is in doubt: the breakdown value.
"""
