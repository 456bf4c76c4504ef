"""The authors' network, for their trained weights: features, scores and decoding as published."""
