"""Which variant is better, and whether the comparison was fair: a pure function of run folders. No torch."""
