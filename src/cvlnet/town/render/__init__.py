"""Light, sky and the z-buffer: the frames of the camera and the overhead image."""
