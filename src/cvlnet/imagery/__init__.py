"""Overhead imagery of any format: where it lies, read by windows, and the crops that the model sees."""
