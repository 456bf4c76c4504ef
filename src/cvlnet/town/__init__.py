"""The synthetic town, from a seed to a data set in the layout of KITTI-CVL.

| package | contents | imports |
|---|---|---|
| `layout` | the plan: quarters, streets, blocks, plots, and the items on them | |
| `mesh` | the items as triangles: buildings, barriers, plants, vehicles, street furniture | |
| `ground` | the painted ground: surfaces, markings, wear, height; the label map | `layout` |
| `drive` | routes, motion, traffic, GPS/IMU measurements, the camera rig | `layout`, `mesh` |
| `render` | light, sky, z-buffer and shading: the camera's frames and the overhead image | |
| `dataset` | whole towns: scene, tiles, files, data sets of several towns | all others |

The modules next to these packages are shared by them and import none of them: `presets` (configuration), `plan` and
`scene` (types that pass between the packages), `style`, `streams` (random numbers), `curves`, `polygons`, `arrays`,
`compiled` (the numba decorator and noise), `files`.
"""
