"""From a Fit and its scores to covariances and intervals: pair, two-way, dyadic, jackknife."""
