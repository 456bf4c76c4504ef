"""Rendering: light, sky and z-buffer, the camera's frames, the overhead image."""
