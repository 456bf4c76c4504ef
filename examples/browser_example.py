"""What the page in browser/ needs: the network as ONNX, an overhead image, and a clip with its true place."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from cvlnet import Localizer, open_overhead
from cvlnet.geo import LocalFrame
from cvlnet.grid import Grid
from cvlnet.imagery.crop import crop, holds
from cvlnet.imagery.overhead import Imagery
from cvlnet.localize.clip_files import files_of, read_clip
from cvlnet.model.export import export
from town import drive_of, map_of, test_split

OUT = Path(__file__).parent / "browser" / "example"
MOST_TILES = 8  # of the network, along each side of the image: 248 m


def main() -> None:
    split = test_split()
    query = split.queries[-1]  # stands for your own clip and map
    write_example(map_of(split, query), drive_of(query))
    print(f"{OUT} is complete: npm install, npm run build and npm start in {OUT.parent}")


def write_example(map_path: Path, drive: Path) -> None:
    """Write the network, the middle of a map, and the last clip of a KITTI drive or a video folder with positions."""
    model, image = Localizer().model, open_overhead(map_path)
    clip, truth = read_clip(files_of(drive), model.image_spec)
    if truth is None:
        raise ValueError(f"{drive} has no latitudes and longitudes")
    export(model, OUT)
    step_px = round(model.steps * model.map_grid.cell_m / model.tile_grid.cell_m)
    grid = largest(image, model.tile_grid, step_px)
    pictures = {"map.png": crop(image, image.center, grid)}
    pictures |= {f"frame{i}.png": frame for i, frame in enumerate(clip.images)}
    for name, picture in pictures.items():
        bgr = np.ascontiguousarray(picture.permute(1, 2, 0).numpy()[..., ::-1])
        cv2.imwrite(str(OUT / name), bgr)
    example = {
        "m_per_px": grid.cell_m,
        "frames": list(pictures)[1:],
        "focal_px": clip.camera.focal_px.tolist(),
        "principal_point_px": clip.camera.principal_point_px.tolist(),
        "rotation": clip.ground_from_cam.rotation.tolist(),
        "translation_m": clip.ground_from_cam.translation_m.tolist(),
        "truth_m": LocalFrame(image.center).xy_world_m(truth.degrees).tolist(),
        "credit": image.credit or "",
    }
    (OUT / "example.json").write_text(json.dumps(example))


def largest(image: Imagery, tile: Grid, step_px: int) -> Grid:
    """The largest square around the image's middle that tiles, a step apart, fill without a gap."""
    sides_px = (tile.rows + step_px * more for more in reversed(range(MOST_TILES)))
    squares = (Grid(side_px, side_px, tile.cell_m) for side_px in sides_px)
    return next(square for square in squares if holds(image, image.center, square))


if __name__ == "__main__":
    main()
