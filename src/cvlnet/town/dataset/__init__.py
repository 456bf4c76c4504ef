"""A town put together, surveyed by its car, and written to disk in the layout of KITTI-CVL."""
