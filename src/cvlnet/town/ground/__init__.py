"""What is painted on the ground plane: surfaces, markings, wear; also the ground's height and the label map."""
