"""How close is equal, each with its reason. Relative unless said otherwise."""

PEER = 1e-8
"""Coefficients, standard errors, intervals and R2 against pyfixest. Its demeaning iterates until a step is below
1e-14; what is left is 1e-10 at most (measured over all tests: see the worst of them in the notes of the issue).
A different correction factor shows at 1e-5 and above on these samples: the smallest distance between two of
them is 1/n."""

PEER_P_VALUE = 1e-14
"""Absolute. The peer computes p as 2 (1 - cdf), which leaves 1e-16 of rounding on a p-value of 1e-10."""

BRUTE = 1e-10
"""Dyadic and jackknife errors against literal sums and literal refits. Both sides solve the same equations in
double precision; conditioning costs about three digits of the sixteen, and a leave-one-out step, a
hundredth of its coefficient, another two."""

COEFFICIENT = 1e-9
"""Coefficients against the reference: as BRUTE, but some are a thousandth of their standard error, which costs
up to another three digits of relative size."""

Z_ROUNDING = 1e-13
"""Absolute error of a standardised value z: the index carries 1e-16 of rounding on a value near 0.2 whose
standard deviation may be 0.01, the sums behind mean and deviation a few more. rho' moves by dz / |z_i - z_j|,
so outcomes agree to Z_ROUNDING over the gap of the row."""

FILE = 1e-15
"""Columns that differ by the rounding of one or two operations."""
