"""Evaluation: predictions to a file, metrics as pure functions of them, confidence, and the report."""
