"""A drive, followed over time: where the vehicle is, from an unknown start, and whether that is known."""
