"""The synthetic town: layout, meshes, the two views, files in the KITTI-CVL layout."""
