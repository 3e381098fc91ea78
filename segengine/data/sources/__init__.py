"""Lists of images and masks: patterns, pairing, records, splits, and the data set's fingerprint."""
