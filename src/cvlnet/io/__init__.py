"""Files on disk: text, tables and tensors, read with clear errors, written whole or not at all."""
