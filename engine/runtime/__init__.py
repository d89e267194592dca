"""Where the work runs: threads, processes or a cluster through Dask; files written whole. Never imports jax."""
