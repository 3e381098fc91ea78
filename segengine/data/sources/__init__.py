"""Which files belong together: patterns, pairing, records, splits and the fingerprint of a data set."""
