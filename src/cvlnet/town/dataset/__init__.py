"""A town assembled from its parts, surveyed, and written in the layout of KITTI-CVL."""
