"""The plan of a town: quarters, streets, blocks, plots, and everything on them."""
