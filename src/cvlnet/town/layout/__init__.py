"""What stands where: quarters, streets, blocks, plots and everything on them, before anything is drawn."""
