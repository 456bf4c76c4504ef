"""What a measured moment looks like: the newest frame, the clip on the ground, the scores, and the belief."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from cvlnet.geo import LocalFrame
from cvlnet.grid import Grid
from cvlnet.localize.search import scores_around
from cvlnet.localize.turned import turned
from cvlnet.model.gvp import project_to_ground
from cvlnet.serve.wire import Corners
from cvlnet.track.tracker import Tracker
from cvlnet.types import Clip, ClipFeatures

Rgba = UInt8[np.ndarray, "_ _ 4"]

WIDEST_PX = 640  # of a frame
GROUND_PX = 256  # side of the projection
_REACH = 20  # places to each side of the vehicle whose scores are shown
_SCORES = (0.3, 1.5)  # from the darkest to the brightest colour
_ZOOM = 8  # pixels of a place
_LEAST_ODDS = 10.0  # over an even belief, from which on a place is shown
_JPEG, _WEBP, _PNG = (
    [cv2.IMWRITE_JPEG_QUALITY, 82],
    [cv2.IMWRITE_WEBP_QUALITY, 80],
    [cv2.IMWRITE_PNG_COMPRESSION, 3],
)


@dataclass(frozen=True)
class Picture:
    """An encoded picture. corners: where it lies (longitude, latitude): north-west, north-east, south-east, south-west;
    None for what has no place on the map.
    """

    encoded: bytes
    corners: Corners | None = None


def pictures_of(tracker: Tracker) -> dict[str, Picture]:
    """The pictures of the newest moment by name; none where its clip was not compared with the map.

    The belief is drawn where it has changed: where the clip was compared with the whole map.
    """
    compared = tracker.compared
    if compared is None:
        return {}
    frame, place = tracker.map.frame, tracker.likeliest
    turn_rad = 0.0 if place is None else float(place[2])
    clip = turned(compared.frames, turn_rad)
    found = {"frame": Picture(_jpeg(_frame(clip)))}
    grid = Grid(GROUND_PX, GROUND_PX, tracker.model.clip_grid.size_m[0] / GROUND_PX)
    corners = None
    if place is not None:
        xy_m = (float(place[0]), float(place[1]))
        corners = corners_of(grid.centered_at(xy_m), frame)
        scores = _scores(tracker, compared.features, xy_m)
        if scores is not None:
            values, around = scores
            found["score"] = Picture(_encoded(".png", score_picture(values), _PNG), corners_of(around, frame))
    found["projection"] = Picture(_encoded(".webp", ground_picture(clip, grid), _WEBP), corners)
    if compared.against == "map":
        probability, cells = tracker.belief.marginal()
        even = (1 - tracker.belief.elsewhere) / max(int(tracker.map.searched.sum()), 1)
        even *= (cells.cell_m / tracker.map.grid.cell_m) ** 2
        found["belief"] = Picture(_encoded(".png", belief_picture(probability, even), _PNG), corners_of(cells, frame))
    return found


def corners_of(grid: Grid, frame: LocalFrame) -> Corners:
    """The outer corners of a grid: north-west, north-east, south-east, south-west, as (longitude, latitude)."""
    nw, ne, se, sw = ((lon, lat) for lat, lon in frame.latlon_deg(grid.corners_xy_m().numpy()).round(9).tolist())
    return nw, ne, se, sw


def ground_picture(clip: Clip, grid: Grid) -> Rgba:
    """The frames of a clip on a grid of the ground around the vehicle, averaged; transparent where none sees it."""
    one = Clip.stack([clip])
    with torch.inference_mode():
        seen = project_to_ground(one.images.float(), one.camera, one.ground_from_cam, grid, 1, 0.5)
        count = seen.visible[0].sum(dim=0)
        mean = seen.features[0].sum(dim=0) / count.clamp(min=1)
    rgba = torch.cat([mean, (count > 0).unsqueeze(0) * 255.0])
    return np.asarray(rgba.round().clamp(0, 255).permute(1, 2, 0).numpy(), dtype=np.uint8)


def score_picture(scores: Float[Tensor, "rows cols"]) -> Rgba:
    """Scores in the colours of turbo, the same ones for the same scores; transparent where none is sought."""
    values = scores.numpy()
    low, high = _SCORES
    share = np.clip((np.where(np.isfinite(values), values, low) - low) / (high - low), 0, 1)
    rgba = _coloured(share, cv2.COLORMAP_TURBO)
    rgba[..., 3] = np.where(np.isfinite(values), 255, 0)
    size = (rgba.shape[1] * _ZOOM, rgba.shape[0] * _ZOOM)
    return np.asarray(cv2.resize(rgba, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def belief_picture(probability: Float[Tensor, "rows cols"], even: float) -> Rgba:
    """Probabilities in the colours of inferno, by their logarithm; transparent where a place is not likelier than most.

    even: the probability of a place if all were alike.
    """
    values = probability.double().numpy()
    least = max(even * _LEAST_ODDS, 1e-12)
    most = max(float(values.max()), least * 1.001)
    share = np.clip(np.log(np.maximum(values, least) / least) / np.log(most / least), 0, 1)
    rgba = _coloured(share, cv2.COLORMAP_INFERNO)
    rgba[..., 3] = np.round(255 * np.sqrt(share)).astype(np.uint8)
    return rgba


def _scores(
    tracker: Tracker, clip: ClipFeatures, xy_m: tuple[float, float]
) -> tuple[Float[Tensor, "side side"], Grid] | None:
    """The scores of a clip around a place, and the grid of these places; None off the map."""
    region = tracker.map.around(xy_m)
    if region is None:
        return None
    places = region.places
    at = places.row_col(torch.tensor(xy_m, dtype=torch.float64)).round().long()
    if not places.holds(at):
        return None
    with torch.inference_mode():
        scores = scores_around(clip, region, at, _REACH, tracker.likelihood.level)[0]
    east_m, north_m = places.xy_m(at.double()).tolist()
    side = 2 * _REACH + 1
    return scores, Grid(side, side, places.cell_m, (east_m, north_m))


def _frame(clip: Clip) -> UInt8[np.ndarray, "rows cols 3"]:
    image = clip.images[0].permute(1, 2, 0).numpy()
    scale = WIDEST_PX / image.shape[1]
    if scale >= 1:
        return np.ascontiguousarray(image)
    size = (WIDEST_PX, max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _coloured(share: Float[np.ndarray, "rows cols"], colours: int) -> Rgba:
    bgr = cv2.applyColorMap(np.round(255 * share).astype(np.uint8), colours)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA), dtype=np.uint8)


def without_alpha(webp: bytes) -> bytes:
    """A picture of the ground as JPEG, black where no frame sees it."""
    seen = np.asarray(cv2.imdecode(np.frombuffer(webp, np.uint8), cv2.IMREAD_UNCHANGED), dtype=np.uint8)
    if seen.shape[2] == 4:  # WebP drops an alpha channel that hides nothing
        seen = seen * (seen[..., 3:] > 0)
    return _jpeg(seen[..., 2::-1])


def _jpeg(rgb: UInt8[np.ndarray, "rows cols 3"]) -> bytes:
    return bytes(cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), _JPEG)[1])


def _encoded(suffix: str, rgba: Rgba, quality: list[int]) -> bytes:
    return bytes(cv2.imencode(suffix, cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA), quality)[1])
