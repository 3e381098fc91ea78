"""Reading, pairing, mask values, splits, caching, warping and loading: plain arguments, no spec."""
