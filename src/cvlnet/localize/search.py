"""From a clip and a region to ranked fixes: a score for every place, its peaks, one fix for each that stands apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from cvlnet.geo import LatLon
from cvlnet.geometry import Camera, Pose
from cvlnet.imagery.overhead import Imagery
from cvlnet.map.region import NEAR_M, Region, encode_region
from cvlnet.model.confidence import ELSEWHERE_M, Confidence, sigma_m
from cvlnet.model.cvlnet import CVLNet
from cvlnet.types import Clip, ClipFeatures, Decoded, Fix, ScoreVolume

MOST_FIXES = 10


def localize(
    model: CVLNet,
    clip: Clip,
    image: Imagery,
    *,
    near: LatLon | None = None,
    radius_m: float = NEAR_M,
    most: int = MOST_FIXES,
    confidence: Confidence | None = None,
) -> tuple[Fix, ...]:
    """Where on an overhead image a clip, batch shape [frames], was taken: fixes of different places, best first.

    To find many clips on one image, encode it once (`encode_region`) and use `search` and `distinct`. confidence: the
    model's, kept with its weights.
    Raises InputError if nothing of the image lies within ``radius_m`` of ``near``.
    """
    region, asked = encode_region(model, image, near=near, radius_m=radius_m), encode_one(model, clip)
    scores, weight = search_encoded(model, asked, region), asked.weight[0].cpu()
    return distinct(region, scores, model.sharpness.item(), most=most, confidence=confidence, weight=weight)


def search(model: CVLNet, clip: Clip, region: Region) -> Float[Tensor, "rows cols"]:
    """Scores of a clip, batch shape [frames], at all places of a region; minus infinity where none is sought."""
    return search_encoded(model, encode_one(model, clip), region)


def encode_one(model: CVLNet, clip: Clip) -> ClipFeatures:
    """Features of one clip, batch shape [frames]; a batch of one."""
    with torch.inference_mode():
        return model.encode_clip(_batch_of_one(clip).to(model.device))


def search_encoded(model: CVLNet, asked: ClipFeatures, region: Region) -> Float[Tensor, "rows cols"]:
    """`search` for the features of one clip, as `cvlnet.localize.stream` gives them."""
    correlation = region.matcher(model.device).scores(asked)[0].cpu()
    return (correlation / region.uncertainty).masked_fill(~region.searched, -torch.inf)


def distinct(
    region: Region,
    scores: Float[Tensor, "rows cols"],
    sharpness: float,
    *,
    most: int | None = MOST_FIXES,
    elsewhere_m: float = ELSEWHERE_M,
    confidence: Confidence | None = None,
    weight: Float[Tensor, "clip_rows clip_cols"] | None = None,
) -> tuple[Fix, ...]:
    """The peaks of the scores as fixes, best first: one within ``elsewhere_m`` of a better one is dropped.

    sharpness: the model's. weight: of the clip's cells; gives the share of what the clip sees that the map shows. A
    fix's margin is its lead over the best peak elsewhere, negative for all but the first. Where there is no other peak
    it is the lead over the lowest score.
    """
    peaks, heights = local_maxima(scores)
    xy_m = region.places.xy_m(peaks.double()).numpy()
    left = np.ones(len(peaks), dtype=bool)
    lowest = float(scores[region.searched].min())
    fixes: list[Fix] = []
    while left.any() and (most is None or len(fixes) < most):
        best = int(left.argmax())
        elsewhere = np.linalg.norm(xy_m - xy_m[best], axis=1) > elsewhere_m
        rival = float(heights[int(elsewhere.argmax())]) if elsewhere.any() else lowest
        fix = _fix(region, peaks[best], _decode(region, scores, peaks[best], sharpness), rival, confidence)
        share = None if weight is None else region.known_share(peaks[best], weight)
        fixes.append(replace(fix, known_share=share))
        left &= elsewhere
        left[best] = False
    return tuple(fixes)


def local_maxima(scores: Float[Tensor, "rows cols"]) -> tuple[Int[Tensor, "peaks 2"], Float[Tensor, peaks]]:
    """Row and column of the places that none of their eight neighbours exceeds, by falling score, and the scores."""
    around = functional.max_pool2d(scores.unsqueeze(0), 3, stride=1, padding=1)[0]
    peaks = ((scores == around) & scores.isfinite()).nonzero()
    heights = scores[peaks[:, 0], peaks[:, 1]]
    order = heights.argsort(descending=True, stable=True)
    return peaks[order], heights[order]


def _decode(region: Region, scores: Tensor, peak: Tensor, sharpness: float) -> Decoded:
    """The scores in a window around a peak, decoded; higher ones there belong to a better place and do not count."""
    reach = region.steps // 2
    padded = functional.pad(scores, (reach,) * 4, value=-torch.inf)
    row, col = peak.tolist()
    window = padded[row : row + region.steps, col : col + region.steps]
    own = window.masked_fill(window > scores[row, col], -torch.inf)
    return ScoreVolume(own.double(), region.places.cell_m).decode(sharpness)


def _fix(region: Region, peak: Tensor, decoded: Decoded, rival: float, confidence: Confidence | None) -> Fix:
    center_m = region.tile_center_m(peak)
    xy_m = region.places.xy_m(peak.double()) + decoded.offset_m
    latitude_deg, longitude_deg = region.frame.latlon_deg(center_m.numpy()).tolist()
    east_m, north_m = (xy_m - center_m).tolist()
    first, second = decoded.covariance_m2.tolist()
    score = float(decoded.score)
    margin, spread_m = score - rival, sigma_m(decoded.covariance_m2.numpy())
    trust = None if confidence is None else float(confidence.of(np.array(score), np.array(margin), spread_m))
    return Fix(
        position=LatLon(*region.frame.latlon_deg(xy_m.numpy()).tolist()),
        tile=f"{latitude_deg:.6f}_{longitude_deg:.6f}",
        offset_m=(east_m, north_m),
        covariance_m2=((first[0], first[1]), (second[0], second[1])),
        score=score,
        margin=margin,
        confidence=trust,
    )


def _batch_of_one(clip: Clip) -> Clip:
    camera, pose = Camera.stack([clip.camera]), Pose.stack([clip.ground_from_cam])
    return Clip(clip.images.unsqueeze(0), camera, pose)
