"""Losses: logits float32 [B, K, H, W], target int64 [B, H, W] -> scalar, right with ignored pixels and absent classes.

A batch without a valid pixel gives 0, with gradients of 0, in each of them.
"""
