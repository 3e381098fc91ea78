"""Sample and batch transforms; geometric ones are fused into one warp."""
