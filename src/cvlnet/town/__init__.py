"""The synthetic town, from a seed to a data set in the layout of KITTI-CVL.

| wing | holds | imports |
|---|---|---|
| `layout` | what stands where: quarters, streets, blocks, plots, buildings, plants | |
| `mesh` | the same as triangles: buildings, barriers, plants, vehicles, street furniture | |
| `ground` | what is painted on the ground plane: surfaces, markings, wear; the label map | `layout` |
| `drive` | routes, motion, traffic, GPS/IMU measurements, the camera rig | `layout`, `mesh` |
| `render` | light, sky, z-buffer, shading: the camera's frames and the overhead image | |
| `dataset` | all of it together: one town, its tiles, its files, data sets of many towns | all others |

The modules beside the wings are shared by them and import none of them: `presets` (what a town is asked to be), `plan`
and `scene` (the types that pass between the wings), `style`, `streams` (random numbers), `curves`, `polygons`,
`compiled` (noise and the numba decorator).
"""
