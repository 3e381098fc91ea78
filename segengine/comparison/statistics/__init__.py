"""Statistics of a comparison: estimates, intervals, tests, ranks and power, from arrays."""
