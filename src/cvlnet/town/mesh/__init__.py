"""Everything above the ground as triangles: buildings, barriers, vehicles, plants, street furniture."""
