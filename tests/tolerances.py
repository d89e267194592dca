"""How close is equal, each with its reason. Relative unless said otherwise."""

PEER = 1e-8
"""Coefficients, standard errors, intervals and R2 against pyfixest, whose demeaning stops at 1e-14. What is left
is the rounding of the outcome, which two close cities magnify (see Z_ROUNDING): at most 1e-10 of a coefficient's
standard error, more of a coefficient near zero (measured: 7e-10 at worst; 3e-12 for standard errors). Another
small-sample correction would show at 1e-6 and above: two of them differ by 1/n at least."""

PEER_P_VALUE = 1e-14
"""Absolute. The peer computes p as 2 (1 - cdf), which leaves 1e-16 of rounding on a p-value of 1e-10."""

BRUTE = 1e-10
"""Dyadic and jackknife errors against literal sums and literal refits: the same equations in double precision,
of which conditioning takes three digits and a leave-one-out step, a hundredth of its coefficient, two."""

Z_ROUNDING = 5e-14
"""Absolute error of a standardised value z: the index carries 1e-16 of rounding on a value near 0.2 whose
standard deviation may be 0.01, the sums behind mean and deviation a few more. rho' moves by dz / |z_i - z_j|,
so outcomes agree to Z_ROUNDING over the gap of the row."""
