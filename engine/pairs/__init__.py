"""Everything indexed [pair]: tiles of the grid, gravity screen, outcomes and regressors, treatment, moments.

`design` is the protocol of panel and table; `outcomes` and `regressors` hold a file a formula; `kernels` compute pair
statistics of a chunk of pairs; `map_reduce` sums them over tiles; `pair_statistics` lists them pair by pair for draws.
"""
