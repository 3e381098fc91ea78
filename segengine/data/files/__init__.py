"""Image and mask files: formats, decoding, reading, writing, and the survey of all images."""
