"""The method in pictures: a clip, its projection, its fusion, and its scores on the map.

python examples/method_in_pictures.py
python examples/method_in_pictures.py --drive DRIVE --frame 120 --map city.tif --out method.jpg
"""

from __future__ import annotations

import argparse
from math import cos, sin
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cvlnet import Localizer, open_overhead
from cvlnet.arrays import F64
from cvlnet.evaluation.report.cases import feature_colors
from cvlnet.grid import Grid
from cvlnet.localize.answer import Answer, heading_rad
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.gvp import project_to_ground
from cvlnet.model.pcsf import photo_consistency
from cvlnet.types import Clip, ClipFeatures, MapFeatures
from town import DATA, drive_of, map_of, test_split

FINE_M = 0.2  # of the ground on which the frames themselves are laid
AROUND_M = 45.0  # of the map that is shown


def frames_on_ground(clip: Clip, model: CVLNet) -> tuple[F64, Grid]:
    """The pixels of each frame where they would lie if everything were road, [frames, rows, cols, RGB and visible]."""
    coarse = model.clip_grid
    rows, cols = (round(size_m / FINE_M) for size_m in coarse.size_m)
    grid = Grid(rows, cols, FINE_M, coarse.center_xy_m)
    batch = Clip.stack([clip])
    colors = batch.images.float() / 255
    laid = project_to_ground(colors, batch.camera, batch.ground_from_cam, grid, stride=1, first_center_px=0.5)
    seen = laid.visible[0, :, None].float()
    return torch.cat([laid.features[0], seen], dim=1).permute(0, 2, 3, 1).double().numpy(), grid


@torch.inference_mode()
def fused(clip: Clip, model: CVLNet) -> tuple[F64, ClipFeatures]:
    """How well the frames agree in each cell that several of them see (else NaN), and the fused features."""
    batch = Clip.stack([clip])
    encoded = model.encode_frames(batch.images)
    projected = model.projection(model.ground_encoder, encoded, batch.camera, batch.ground_from_cam, model.clip_grid)
    frames = projected.visible.sum(dim=1)
    agreement = photo_consistency(projected.features, projected.visible).sum(dim=1) / frames.clamp(min=1)
    features = model.describe_clips(*model.fuse_frames(encoded, batch.camera, batch.ground_from_cam))
    return agreement.masked_fill(frames < 2, torch.nan)[0].double().numpy(), features


def draw(clip: Clip, answer: Answer, model: CVLNet, out: Path) -> None:
    """Draw four rows: frames, frames on the ground, fusion, matching."""
    figure = Figure(figsize=(14, 13), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    rows: Any = figure.subfigures(4, 1, height_ratios=(0.55, 1.2, 1.2, 1.3))
    count = len(clip.images)
    _title(rows[0], "1  The clip: the last frames, newest first, with their relative poses")
    for number, axes in enumerate(np.atleast_1d(rows[0].subplots(1, count))):
        axes.imshow(clip.images[number].permute(1, 2, 0).numpy())
        _bare(axes, "newest" if number == 0 else f"{_back_m(clip, number):.0f} m before")

    _title(
        rows[1], "2  Projection (GVP): the network lays features like this, not colours, on the road plane, north up"
    )
    laid, ground = frames_on_ground(clip, model)
    for number, axes in enumerate(np.atleast_1d(rows[1].subplots(1, count))):
        axes.imshow(laid[number], extent=_extent(ground))
        axes.set_facecolor("0.85")
        _vehicle(axes, (0.0, 0.0), heading_rad(clip))
        _bare(axes)

    _title(rows[2], "3  Fusion (PCSF): what is flat and still looks the same in all frames, and counts most")
    agreement, features = fused(clip, model)
    region = answer.region
    clip_rgba, map_rgb = feature_colors(
        features, MapFeatures(region.descriptor[None], region.uncertainty[None], region.cells)
    )
    weight = features.weight[0].double().numpy()
    panels = rows[2].subplots(1, 3)
    cells = _extent(model.clip_grid)
    shades = panels[0].imshow(agreement, "viridis", extent=cells, vmin=0, vmax=1)
    rows[2].colorbar(shades, ax=panels[0], shrink=0.8)
    shades = panels[1].imshow(np.where(weight > 0, weight, np.nan), "magma", extent=cells, vmin=0)
    rows[2].colorbar(shades, ax=panels[1], shrink=0.8)
    panels[2].imshow(clip_rgba, extent=cells)
    for axes, name in zip(panels, ("how well the frames agree", "weight of each cell", "fused features"), strict=True):
        axes.set_facecolor("0.85")
        _vehicle(axes, (0.0, 0.0), heading_rad(clip))
        _bare(axes, name)

    _title(rows[3], "4  Matching (SSM): the fused features slide over those of the map; the best score is the place")
    panels = rows[3].subplots(1, 3)
    place = region.frame.xy_world_m(answer.best.position.degrees)
    _show_imagery(panels[0], answer, place)
    panels[1].imshow(map_rgb[0], extent=_extent(region.cells))
    values = answer.scores.double().masked_fill(~answer.scores.isfinite(), torch.nan).numpy()
    shades = panels[2].imshow(values, "magma", extent=_extent(region.places))
    rows[3].colorbar(shades, ax=panels[2], shrink=0.8)
    names = ("the map, and the place that was found", "its features, in the same colours", "score of every place")
    for axes, name in zip(panels, names, strict=True):
        axes.set_xlim(place[0] - AROUND_M, place[0] + AROUND_M)
        axes.set_ylim(place[1] - AROUND_M, place[1] + AROUND_M)
        _vehicle(axes, (float(place[0]), float(place[1])), answer.headings_rad[0])
        if answer.truth is not None:
            east_m, north_m = region.frame.xy_world_m(answer.truth.degrees)
            axes.plot(east_m, north_m, "+", color="#32d74b", markersize=14, markeredgewidth=2.5)
        _bare(axes, name)
    if answer.image.credit is not None:
        figure.supxlabel(answer.image.credit, fontsize=8, parse_math=False)
    figure.savefig(out, dpi=80)


def _back_m(clip: Clip, number: int) -> float:
    places = clip.ground_from_cam.translation_m[:, :2]
    return float((places[number] - places[0]).norm())


def _show_imagery(axes: Axes, answer: Answer, place: F64) -> None:
    """The overhead image around a place, on the ground."""
    side = round(2 * AROUND_M / FINE_M)
    grid = Grid(side, side, FINE_M, (float(place[0]), float(place[1])))
    raster = answer.image.raster
    cells = grid.cell_centers_xy_m(torch.float64).numpy()
    xy_px = raster.xy_px(answer.region.frame.latlon_deg(cells.reshape(-1, 2))).reshape(*cells.shape)
    rows, cols = answer.image.shape
    low = np.floor(xy_px.min(axis=(0, 1))).astype(int).clip(0)
    high = np.ceil(xy_px.max(axis=(0, 1))).astype(int) + 1
    patch = answer.image.read(slice(low[1], min(high[1], rows)), slice(low[0], min(high[0], cols)), 1)
    at = (xy_px - low).astype(int)
    inside = (at >= 0).all(axis=-1) & (at[..., 1] < patch.pixels.shape[0]) & (at[..., 0] < patch.pixels.shape[1])
    shown = np.full((*inside.shape, 3), 217, np.uint8)
    shown[inside] = patch.pixels[at[inside][:, 1], at[inside][:, 0]]
    axes.imshow(shown, extent=_extent(grid))


def _extent(grid: Grid) -> tuple[float, float, float, float]:
    corners = grid.corners_xy_m().numpy()
    return float(corners[0, 0]), float(corners[1, 0]), float(corners[2, 1]), float(corners[0, 1])


def _vehicle(axes: Axes, xy_m: tuple[float, float], yaw_rad: float) -> None:
    tip = (xy_m[0] + 9 * cos(yaw_rad), xy_m[1] + 9 * sin(yaw_rad))
    axes.annotate("", tip, xy_m, arrowprops={"arrowstyle": "-|>", "color": "#ff3b30", "linewidth": 2.5})


def _title(figure: Any, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=14, fontweight="bold")


def _bare(axes: Axes, title: str = "") -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drive", type=Path, help="a KITTI drive or a video folder; by default one of the tiny town")
    parser.add_argument("--frame", type=int, help="the clip's newest frame")
    parser.add_argument("--map", type=Path, help="overhead image")
    parser.add_argument("--out", type=Path, default=DATA / "method.jpg", help="picture to write")
    asked = parser.parse_args()
    if asked.drive is None:
        split = test_split()
        query = split.queries[-1]
        asked.drive, asked.frame, asked.map = drive_of(query), query.frame, map_of(split, query)
    localizer = Localizer()
    clip = localizer.read_clip(asked.drive, frame=asked.frame)
    answer = localizer.locate(clip, open_overhead(asked.map))
    draw(clip, answer, localizer.model, asked.out)
    print(f"{asked.out}: {answer.best.position}")


if __name__ == "__main__":
    main()
