"""From an estimate and its influences to standard errors, intervals, draws and p-values."""
