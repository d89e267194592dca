"""From an Estimate to covariances and intervals: pair, two-way, dyadic, jackknife."""
