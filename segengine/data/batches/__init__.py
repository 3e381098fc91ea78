"""Streams of batches on the CPU and on the device, the cache of decoded pairs, and seeded randomness."""
