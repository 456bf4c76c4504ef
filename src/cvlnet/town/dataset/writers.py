"""Writes a town in the layout of KITTI-CVL: frames and measurements of the drives, tiles of the overhead map.

    OUT/raw_data/<date>/calib_*.txt, <date>_drive_NNNN_sync/{oxts,image_02,image_03}/
    OUT/satmap/train_10mgap/<date>/<drive>/<frame>.png        OUT/satmap/test/<drive>/<lat>_<lon>.png
    OUT/overhead/<date>.tif             the whole overhead map, a GeoTIFF
    OUT/labels/<date>.{png,json}        label map of the town (see `cvlnet.data.label_maps`)

Existing files are kept, and every file is written whole or not at all, so that an interrupted run can be resumed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from rasterio.transform import from_origin

from cvlnet.arrays import Rgb
from cvlnet.geo import LocalFrame
from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.io.geotiff import geotiff_written_whole
from cvlnet.io.outputs import write_png, write_text
from cvlnet.town.dataset.survey import Town
from cvlnet.town.dataset.tiles import (
    PlacedTile,
    distractors,
    map_grid,
    nearest_tiles,
    query_tiles,
    tile_px,
    use_of_drive,
)
from cvlnet.town.drive.oxts import write_oxts
from cvlnet.town.drive.rig import write_calibration
from cvlnet.town.ground.groundtruth import LABEL_M_PER_PX, draw_labels
from cvlnet.town.presets import TownConfig
from cvlnet.town.render.camera import present_mesh, render_camera
from cvlnet.town.render.light import drive_light
from cvlnet.town.render.overhead import render_overhead
from cvlnet.town.render.photo import DrivePhoto, drive_photo, photograph
from cvlnet.town.render.stage import Setting, Stage, arrange, lit
from cvlnet.town.scene import Mesh
from cvlnet.town.streams import stream

Writer = Callable[[Path, Rgb], None]  # of a picture into a file


@dataclass(frozen=True)
class Listing:
    """A town's lines of the split lists and rows of test.csv."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    test_rows: tuple[str, ...]


def write_drives(
    out: Path, town: Town, numbers: Iterable[int], drawn: Callable[[], None], write: Writer = write_png
) -> None:
    """Write calibration, measurements and missing frames of drives; ``drawn`` is called after each picture."""
    setting = cache(lambda: _setting(town))  # prepared where there is anything to draw
    for number in numbers:
        _write_drive(out, town, number, drawn, write, setting)


def _write_drive(
    out: Path, town: Town, number: int, drawn: Callable[[], None], write: Writer, setting: Callable[[], Setting]
) -> None:
    date_dir = out / "raw_data" / town.date
    write_calibration(date_dir, town.rig)
    drive_dir = date_dir / town.drive_name(number)
    start = town.start + timedelta(minutes=10 * number)
    write_oxts(drive_dir, town.measured_motions[number], town.frame, start)
    frames = range(0, len(town.drives[number].time_s), town.config.frame_step)
    pictures = [(frame, camera_id) for frame in frames for camera_id in town.config.cameras]
    paths = {(f, c): drive_dir / f"image_{c:02d}" / "data" / f"{f:010d}.png" for f, c in pictures}
    missing = {key: path for key, path in paths.items() if not path.exists()}
    if missing:
        artist = _DriveArtist.of(town, number, setting())
        for (frame, camera_id), path in missing.items():
            write(path, artist.picture(frame, camera_id))
            drawn()


def _setting(town: Town) -> Setting:
    """What all drives of a town see."""
    return arrange([town.scene.static, town.scene.parked_at_drive], town.scene.ground)


@dataclass(frozen=True)
class _DriveArtist:
    """What the pictures of one drive have in common."""

    town: Town
    number: int
    stage: Stage
    photo: DrivePhoto
    camera: Camera
    traffic_height_m: tuple[Float64[np.ndarray, " _"], ...]

    @staticmethod
    def of(town: Town, number: int, setting: Setting) -> _DriveArtist:
        nuisances, drive, ground = town.config.nuisances, town.drives[number], town.scene.ground
        light = drive_light(
            stream(town.config.seed, "drive light", number),
            nuisances.camera_light,
            nuisances.camera_shadows,
            nuisances.leafless,
            nuisances.autumn,
        )
        return _DriveArtist(
            town,
            number,
            lit(setting, light),
            drive_photo(stream(town.config.seed, "drive photo", number), nuisances, town.rig.camera, drive.time_s),
            town.rig.camera,
            tuple(ground.height_at(thing.xy_m) for thing in drive.traffic),
        )

    def picture(self, frame: int, camera_id: int) -> UInt8[np.ndarray, "height width 3"]:
        """Draw the picture of one camera at one frame."""
        drive, motion = self.town.drives[self.number], self.town.true_motions[self.number]
        world_from_cam: Pose = motion.world_from_body(frame) @ self.town.rig.body_from_cam(camera_id)
        time_s = float(drive.time_s[frame])
        present = [
            present_mesh(thing, time_s, height_m)
            for thing, height_m in zip(drive.traffic, self.traffic_height_m, strict=True)
        ]
        moving: list[Mesh] = [mesh for mesh in present if mesh is not None]
        radiance, depth_m = render_camera(self.stage, self.camera, world_from_cam, moving)
        speed_m_s, yaw_rate = float(motion.speed_m_s()[frame]), float(motion.yaw_rate_rad_s()[frame])
        exposure = float(self.photo.exposure[frame])
        seed = self.photo.seed + 2 * frame + camera_id % 2
        return photograph(radiance, depth_m, self.camera, self.photo, exposure, seed, speed_m_s, yaw_rate)


def write_tiles(out: Path, town: Town) -> Listing:
    """Write the missing tiles of a town, and return its entries for the lists."""
    config = town.config
    placed = {number: query_tiles(town, number) for number in range(len(town.drives))}
    tested = tuple(t for number, tiles in placed.items() if use_of_drive(config, number) == "test" for t in tiles)
    others = distractors(town, tested)
    paths = {out / tile_path(town, tile): tile for tiles in placed.values() for tile in tiles}
    paths |= {out / tile_path(town, tile): tile for tile in others}
    missing = {path: tile for path, tile in paths.items() if not path.exists()}
    whole = overhead_path(out, town.date)
    if missing or not whole.exists():
        grid = map_grid(config)
        picture = render_overhead(town.scene, grid, config.nuisances, stream(config.seed, "flight"))
        for path, tile in missing.items():
            write_png(path, picture[_window(picture.shape[:2], tile, config)])
        if not whole.exists():
            write_overhead(whole, picture, town.frame, grid)
    return _listing(town, placed, tested, others)


def write_training_tiles(out: Path, town: Town, first_query: int, write: Writer = write_png) -> tuple[str, ...]:
    """Write the tiles of all drives, for training, and return the lines of the list.

    first_query: the first frame of a drive that is sought. The overhead map itself is not kept.
    """
    placed = {number: query_tiles(town, number, first_query) for number in range(len(town.drives))}
    config, grid = town.config, map_grid(town.config)
    all_tiles = [tile for tiles in placed.values() for tile in tiles]
    wanted = np.zeros((grid.rows, grid.cols), bool)
    for tile in all_tiles:
        wanted[_window(wanted.shape, tile, config)] = True
    picture = render_overhead(town.scene, grid, config.nuisances, stream(config.seed, "flight"), wanted)
    for tile in all_tiles:
        write(out / training_tile_path(town, tile), picture[_window(wanted.shape, tile, config)])
    return tuple(
        _line(town, number, frame, tile)
        for number, tiles in placed.items()
        for frame, tile in (nearest_tiles(town, number, tiles, first_query) if tiles else ())
    )


def overhead_path(out: Path, date: str) -> Path:
    """The overhead map of a data set's town."""
    return out / "overhead" / f"{date}.tif"


def write_overhead(path: Path, picture: UInt8[np.ndarray, "rows cols 3"], frame: LocalFrame, grid: Grid) -> None:
    """Write an overhead map as a tiled GeoTIFF, in the azimuthal equidistant projection around the town's anchor."""
    west_m, north_m = grid.corners_xy_m()[0].tolist()
    profile: dict[str, Any] = {
        "width": grid.cols,
        "height": grid.rows,
        "count": 3,
        "dtype": "uint8",
        "photometric": "rgb",
        "crs": frame.crs,
        "transform": from_origin(west_m, north_m, grid.cell_m, grid.cell_m),
        "predictor": 2,
        "zlevel": 4,
    }
    with geotiff_written_whole(path, **profile) as file:
        file.write(np.moveaxis(picture, -1, 0))


def write_labels(out: Path, town: Town) -> None:
    """Write the label map of a town and its georeference."""
    picture = out / "labels" / f"{town.date}.png"
    if not picture.exists():
        write_png(picture, draw_labels(town.blueprint))
    about = {"center": town.frame.anchor.degrees, "m_per_px": LABEL_M_PER_PX}
    write_text(picture.with_suffix(".json"), json.dumps(about))


def tile_path(town: Town, tile: PlacedTile) -> Path:
    """Path of a tile within the data set."""
    if tile.frame is not None and use_of_drive(town.config, tile.drive) == "train":
        return training_tile_path(town, tile)
    return Path("satmap") / "test" / town.drive_name(tile.drive) / f"{tile.latitude}_{tile.longitude}.png"


def training_tile_path(town: Town, tile: PlacedTile) -> Path:
    """Path of a tile for training within the data set."""
    return Path("satmap") / "train_10mgap" / town.date / town.drive_name(tile.drive) / f"{tile.frame:010d}.png"


def _window(shape: tuple[int, int], tile: PlacedTile, config: TownConfig) -> tuple[slice, slice]:
    """Rows and columns of a tile in the map of a shape, whose centre is the world's origin."""
    row = shape[0] // 2 - round(tile.center_xy_m[1] / config.overhead_m_per_px)
    col = shape[1] // 2 + round(tile.center_xy_m[0] / config.overhead_m_per_px)
    half = tile_px(config) // 2
    return slice(row - half, row + half), slice(col - half, col + half)


def _listing(
    town: Town,
    placed: dict[int, tuple[PlacedTile, ...]],
    tested: tuple[PlacedTile, ...],
    others: tuple[PlacedTile, ...],
) -> Listing:
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for number, tiles in placed.items():
        for frame, tile in nearest_tiles(town, number, tiles) if tiles else ():
            lines[use_of_drive(town.config, number)].append(_line(town, number, frame, tile))
    rows = [
        f"{town.drive_name(tile.drive)},{tile.latitude},{tile.longitude},{int(tile.frame is not None)}"
        for tile in (*tested, *others)
    ]
    return Listing(tuple(lines["train"]), tuple(lines["test"]), tuple(rows))


def _line(town: Town, number: int, frame: int, tile: PlacedTile) -> str:
    """The line of a split list that says on which tile a frame of a drive is sought."""
    return f"{town.date}/{town.drive_name(number)}/{frame:010d}.png {tile.latitude} {tile.longitude}"
