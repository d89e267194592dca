"""Type sums or rows in, a frozen Estimate out; `estimators` has a file for each estimator."""
