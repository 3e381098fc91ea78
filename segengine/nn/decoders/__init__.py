"""Decoders based on those of segmentation_models_pytorch (smp), for feature maps of any strides."""
