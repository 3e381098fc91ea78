"""Decoders on those of segmentation_models_pytorch (smp): each reads the strides of the maps that it is given."""
