"""Files on disk: written whole or not at all, and tensors read without executing code."""
