"""How a camera is mounted, found from what it sees of the road, and whether a stated mounting can be right."""
