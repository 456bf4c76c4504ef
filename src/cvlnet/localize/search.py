"""From a clip and a region to ranked fixes: match with every tile, decode, keep one fix for each place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cvlnet.data.imagery import OverheadImage
from cvlnet.evaluate import device_of
from cvlnet.geo import LatLon
from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.localize.region import GAP_M, NEAR_M, Region, encode_region
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.match import ScoreVolume, match
from cvlnet.types import Clip, Fix, MapFeatures

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

ELSEWHERE_M = 10.0  # fixes farther apart than this name two places
MOST_FIXES = 10
_BLOCK = 128  # tiles matched at once: bounds the memory


@dataclass(frozen=True)
class Candidates:
    """The best place of every tile of a region, best first; places in metres of the region's frame."""

    tile: I64  # [n], into the region's tiles
    xy_m: F64  # [n, 2]
    offset_m: F64  # [n, 2], from the tile's centre
    covariance_m2: F64  # [n, 2, 2]
    similarity: F64  # [n]

    def __len__(self) -> int:
        return len(self.tile)


@dataclass(frozen=True)
class SimilarityMap:
    """The best score of any tile at each place, NaN where none was asked; ``grid`` is in the region's frame."""

    values: F64  # [rows, cols]
    grid: Grid


def localize(
    model: CVLNet,
    clip: Clip,
    image: OverheadImage,
    *,
    gap_m: float = GAP_M,
    near: LatLon | None = None,
    radius_m: float = NEAR_M,
    most: int = MOST_FIXES,
) -> tuple[Fix, ...]:
    """Where on an overhead image a clip, batch shape [frames], was taken: fixes of different places, best first.

    To ask one image many times, encode it once (`encode_region`) and use `search`, `candidates` and `distinct`.
    Raises InputError if no tile fits into the image, or none within ``radius_m`` of ``near``.
    """
    region = encode_region(model, image, gap_m=gap_m, near=near, radius_m=radius_m)
    found = candidates(region, search(model, clip, region), model.sharpness.item())
    return distinct(region, found, most=most)


def search(model: CVLNet, clip: Clip, region: Region) -> ScoreVolume:
    """Scores of a clip, batch shape [frames], against every tile of a region, [tiles, steps, steps]."""
    features, parts = region.features, []
    with torch.inference_mode():
        asked = model.encode_clip(_batch_of_one(clip).to(device_of(model)))
        for start in range(0, len(region), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = MapFeatures(
                features.descriptor[rows].to(device_of(model)).float(),
                features.uncertainty[rows].to(device_of(model)),
                features.grid,
            )
            parts.append(match(asked, block).scores[0].cpu())
    return ScoreVolume(torch.cat(parts), features.grid.cell_m)


def candidates(region: Region, volume: ScoreVolume, sharpness: float) -> Candidates:
    """What each tile's scores say, by falling similarity. sharpness: the model's."""
    decoded = volume.decode(sharpness)
    order = decoded.similarity.argsort(descending=True, stable=True)
    similarity, offset_m, covariance_m2 = (
        _float64(tensor[order]) for tensor in (decoded.similarity, decoded.offset_m, decoded.covariance_m2)
    )
    tile = order.numpy()
    tile_xy_m = region.frame.xy_world_m(region.centers_latlon_deg[tile])
    return Candidates(tile, tile_xy_m + offset_m, offset_m, covariance_m2, similarity)


def distinct(
    region: Region, ranked: Candidates, *, most: int = MOST_FIXES, elsewhere_m: float = ELSEWHERE_M
) -> tuple[Fix, ...]:
    """The best fix of each place, best first: what names a place within ``elsewhere_m`` of a better one is dropped.

    A fix's margin is its lead over the best candidate that lies elsewhere: negative for all but the first. Where all
    candidates name one place it is the lead over the last of them: others are lower still.
    """
    left = np.ones(len(ranked), dtype=bool)
    fixes: list[Fix] = []
    while left.any() and len(fixes) < most:
        best = int(left.argmax())
        elsewhere = np.linalg.norm(ranked.xy_m - ranked.xy_m[best], axis=1) > elsewhere_m
        rival = int(elsewhere.argmax()) if elsewhere.any() else len(ranked) - 1
        fixes.append(_fix(region, ranked, best, rival))
        left &= elsewhere
        left[best] = False
    return tuple(fixes)


def similarity_map(region: Region, volume: ScoreVolume) -> SimilarityMap:
    """Scores of all tiles laid over the region; the best counts where tiles overlap."""
    places_m = volume.grid.cell_centers_xy_m().numpy().reshape(-1, 2)
    xy_m = (region.frame.xy_world_m(region.centers_latlon_deg)[:, None] + places_m).reshape(-1, 2)
    low_m, high_m = xy_m.min(axis=0), xy_m.max(axis=0)
    cols, rows = (np.ceil((high_m - low_m) / volume.cell_m - 1e-3).astype(int) + 1).tolist()
    east_m = low_m[0] + (cols - 1) / 2 * volume.cell_m  # the outermost places are in the middle of their cells
    north_m = low_m[1] + (rows - 1) / 2 * volume.cell_m
    grid = Grid(rows, cols, volume.cell_m, (float(east_m), float(north_m)))
    row, col = grid.row_col(torch.from_numpy(xy_m)).round().long().unbind(-1)
    values = np.full((rows, cols), -np.inf)
    np.maximum.at(values, (row.numpy(), col.numpy()), _float64(volume.scores).reshape(-1))
    return SimilarityMap(np.where(np.isfinite(values), values, np.nan), grid)


def _fix(region: Region, ranked: Candidates, index: int, rival: int) -> Fix:
    tile = int(ranked.tile[index])
    (east_m, north_m), (first, second) = ranked.offset_m[index].tolist(), ranked.covariance_m2[index].tolist()
    return Fix(
        position=LatLon(*region.frame.latlon_deg(ranked.xy_m[index]).tolist()),
        tile=region.tile(tile),
        offset_m=(east_m, north_m),
        covariance_m2=((first[0], first[1]), (second[0], second[1])),
        similarity=float(ranked.similarity[index]),
        margin=float(ranked.similarity[index] - ranked.similarity[rival]),
    )


def _batch_of_one(clip: Clip) -> Clip:
    camera, pose = Camera.stack([clip.camera]), Pose.stack([clip.ground_from_cam])
    return Clip(clip.images.unsqueeze(0), camera, pose)


def _float64(tensor: Tensor) -> F64:
    return np.asarray(tensor.double().numpy())
