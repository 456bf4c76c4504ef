"""What is painted on the ground plane: surfaces, markings and wear, the height of the ground, and the label map."""
