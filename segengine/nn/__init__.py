"""Torch modules with plain arguments: backbones, decoders, losses and the segmenter that joins them."""
