"""KITTI-CVL made anew: overhead tiles for any drives from any imagery, by the rules of the published benchmark."""
