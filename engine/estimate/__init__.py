"""Moments in, frozen Fit out: least squares with pair and year effects, event study."""
