"""The map: overhead imagery, encoded once, in memory or on disk, on which any number of clips are found."""
