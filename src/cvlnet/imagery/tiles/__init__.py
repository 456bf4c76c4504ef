"""Web Mercator imagery as square tiles: folders {z}/{x}/{y}, MBTiles and PMTiles."""
