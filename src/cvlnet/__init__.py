"""CVLNet: where a vehicle stands on an overhead picture, from the last few frames of its video."""

__version__ = "0.1.0"
