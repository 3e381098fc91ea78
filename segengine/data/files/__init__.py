"""Files of images and masks: decoding, reading, writing, and one pass over all images."""
