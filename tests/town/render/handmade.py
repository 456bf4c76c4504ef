"""Scenes simple enough to know what they look like."""

import numpy as np
import numpy.typing as npt
import torch

from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.town.render.light import Autumn, Light
from cvlnet.town.scene import Ground, Material, Mesh

Corner = tuple[float, float, float]
F64 = npt.NDArray[np.float64]


def f64(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def quad(
    a: Corner, b: Corner, c: Corner, d: Corner, material: Material = Material.PLAIN, grey: int = 128, seed: int = 1
) -> Mesh:
    """Two triangles; uv runs in metres from ``a`` along to ``b`` and up to ``d``."""
    width_m, height_m = float(np.linalg.norm(np.subtract(b, a))), float(np.linalg.norm(np.subtract(d, a)))
    uv = [(0.0, 0.0), (width_m, 0.0), (width_m, height_m), (0.0, height_m)]
    return Mesh(
        np.array([[a, b, c], [a, c, d]], np.float32),
        np.array([[uv[0], uv[1], uv[2]], [uv[0], uv[2], uv[3]]], np.float32),
        np.full(2, material, np.uint8),
        np.full((2, 3), grey, np.uint8),
        np.full(2, seed, np.uint32),
    )


def box(low: Corner, high: Corner, material: Material = Material.PLAIN, grey: int = 128) -> Mesh:
    """Four walls and a lid."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    feet = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    walls = [
        quad((*p, z0), (*q, z0), (*q, z1), (*p, z1), material, grey)
        for p, q in zip(feet, feet[1:] + feet[:1], strict=True)
    ]
    lid = quad((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1), material, grey)
    return Mesh.join([*walls, lid])


def ground(size_m: float = 60.0, cell_m: float = 0.1, grey: int = 110) -> Ground:
    """A level, evenly grey square."""
    cells = round(size_m / cell_m)
    albedo = np.full((cells, cells, 3), grey, np.uint8)
    return Ground(Grid(cells, cells, cell_m), albedo, Grid(4, 4, size_m / 3), np.zeros((4, 4), np.float32))


def blotched_ground(size_m: float = 60.0, cell_m: float = 0.1) -> Ground:
    """A level square with irregular light and dark blotches of about half a metre, to be recognised by."""
    rng, plain = np.random.default_rng(5), ground(size_m, cell_m)
    blotches = np.kron(rng.integers(40, 230, (round(size_m * 2),) * 2), np.ones((round(0.5 / cell_m),) * 2))
    albedo = np.repeat(blotches.astype(np.uint8)[..., None], 3, axis=2)
    return Ground(plain.albedo_grid, albedo, plain.height_grid, plain.height_m)


def camera(width_px: int = 320, height_px: int = 160) -> Camera:
    """A small camera with KITTI's field of view, roughly, and a principal point off the middle."""
    focal_px = 0.58 * width_px
    return Camera(f64(focal_px, focal_px), f64(width_px / 2 - 5.3, height_px / 2 - 7.8), width_px, height_px)


def standing(x_m: float, y_m: float, yaw_rad: float, height_m: float = 1.65, pitch_rad: float = 0.0) -> Pose:
    """world_from_cam of a camera that looks along ``yaw_rad``, nose down by ``pitch_rad``."""
    world_from_body = Pose.from_euler(f64(0)[0], f64(pitch_rad)[0], f64(yaw_rad)[0], f64(x_m, y_m, height_m))
    axes = torch.tensor([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
    return world_from_body @ Pose(axes, torch.zeros(3, dtype=torch.float64))


def even_light(toward_sun: F64, shadow_strength: float = 1.0) -> Light:
    """Sun and sky without colours, haze, clouds or wetness."""
    return Light(
        toward_sun=toward_sun,
        sun=(0.9, 0.9, 0.9),
        sky=(0.1, 0.1, 0.1),
        zenith=(0.5, 0.5, 0.5),
        horizon=(1.0, 1.0, 1.0),
        cloud=0.0,
        shadow_strength=shadow_strength,
        wetness=0.0,
        haze_m=1e9,
        leaf_tint=(1.0, 1.0, 1.0),
        grass_tint=(1.0, 1.0, 1.0),
        leafless=0.0,
        autumn=Autumn(),
        seed=3,
    )
