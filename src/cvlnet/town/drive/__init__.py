"""The camera car and the other traffic: routes, motion, GPS/IMU measurements, camera rig."""
