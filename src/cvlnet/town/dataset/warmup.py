"""Compiles all drawing code ahead: one worker does so while the others plan, and they find it in numba's cache."""

from __future__ import annotations

from math import pi

import numpy as np
import torch
from shapely.geometry import box

from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.town.ground.canvas import Canvas
from cvlnet.town.ground.texture import apply_texture
from cvlnet.town.mesh.solids import block
from cvlnet.town.plan import Marking, Surface
from cvlnet.town.presets import Nuisances
from cvlnet.town.render.camera import render_camera
from cvlnet.town.render.light import drive_light
from cvlnet.town.render.overhead import render_overhead
from cvlnet.town.render.photo import drive_photo, photograph
from cvlnet.town.render.stage import prepare
from cvlnet.town.scene import Ground, Material, Mesh, Scene


def compile_kernels() -> None:
    """Draw a few pixels of a box on a lawn in both views, which runs every compiled function."""
    rng, nuisances = np.random.default_rng(0), Nuisances()
    canvas = Canvas.blank(Grid(8, 8, 1.0))
    canvas.fill(box(-3, -3, 3, 3), Surface.LAWN, (90, 100, 60))
    canvas.mark(Marking(np.array([[-3.0, 0.0], [3.0, 0.0]]), 0.5, 1.0))
    apply_texture(canvas, 0, 0.5)
    ground = Ground(canvas.grid, canvas.rgb, Grid(4, 4, 4.0), np.zeros((4, 4), np.float32))
    thing, nothing = block((1.0, 1.0, 1.0), (0.0, 0.0), 0.0, Material.PLAIN, (128, 128, 128), 0), Mesh.join([])
    focal_px, center_px = torch.tensor([8.0, 8.0]).double(), torch.tensor([8.0, 4.0]).double()
    camera, time_s = Camera(focal_px, center_px, 16, 8), np.arange(2.0)
    level, back_m = torch.tensor(-pi / 2).double(), torch.tensor([0.0, -3.0, 1.0]).double()
    pose = Pose.from_euler(level, torch.zeros(()).double(), torch.zeros(()).double(), back_m)
    radiance, depth_m = render_camera(
        prepare([thing], ground, drive_light(rng, 1.0, 1.0, 0.0, 1.0)), camera, pose, [thing]
    )
    photograph(radiance, depth_m, camera, drive_photo(rng, nuisances, camera, time_s), 1.0, 0, 10.0, 0.1)
    render_overhead(Scene(ground, thing, nothing, nothing, nothing), Grid(4, 4, 1.0), nuisances, rng)
