"""Triangles of what stands in the town: buildings, barriers, vehicles, plants, street furniture."""
