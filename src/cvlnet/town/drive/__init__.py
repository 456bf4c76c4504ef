"""The camera car and other traffic: routes, motion, GPS/IMU measurements, the camera rig."""
