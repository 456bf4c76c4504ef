"""From a clip and a region to ranked fixes: a score for every place, its peaks, one fix for each that stands apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import radians

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from cvlnet.geo import LatLon, earth_centred_m
from cvlnet.grid import Grid
from cvlnet.imagery.overhead import Imagery
from cvlnet.localize.turned import TurnedClip
from cvlnet.map.region import NEAR_M, Region, encode_region
from cvlnet.model.confidence import ELSEWHERE_M, Confidence, neutral_of, sigma_m
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.ssm import energy_shares, match, with_unseen
from cvlnet.types import Clip, ClipFeatures, Decoded, Fix, MapFeatures, ScoreVolume

MOST_FIXES = 10
_TURNS_AT_ONCE = 4  # headings whose scores of all places are in memory
_FINE_RAD = radians(0.5)  # between the headings that are tried around a place


@dataclass(frozen=True)
class Scores:
    """The score of every place of a region under its best heading and pitch; minus infinity where none is sought.

    turn: the index of that heading among those that were tried.
    """

    values: Float[Tensor, "rows cols"]
    turn: Int[Tensor, "rows cols"]

    @staticmethod
    def best_of(several: Sequence[Scores]) -> Scores:
        """The best score of every place."""
        best = several[0]
        for other in several[1:]:
            better = other.values > best.values
            best = Scores(torch.maximum(other.values, best.values), torch.where(better, other.turn, best.turn))
        return best


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

    To find many clips on one image, encode it once (`encode_region`) and use `fixes_in`. confidence: the model's, kept
    with its weights.
    Raises InputError if nothing of the image lies within ``radius_m`` of ``near``.
    """
    region = encode_region(model, image, near=near, radius_m=radius_m)
    _, fixes = fixes_in(model, TurnedClip(model, clip), region, most=most, confidence=confidence)
    return fixes


def fixes_in(
    model: CVLNet,
    clip: TurnedClip,
    region: Region,
    *,
    turns_rad: Sequence[float] = (0.0,),
    most: int = MOST_FIXES,
    confidence: Confidence | None = None,
) -> tuple[Scores, tuple[Fix, ...]]:
    """The scores of a clip at all places of a region, and the fixes of different places, best first.

    turns_rad: turns of the recorded clip that are tried, under every pitch of the clip; with several of them the best
    is refined for every fix.
    """
    if len(clip.pitched) == 1:
        return _fixes_under(model, clip, region, turns_rad, most, confidence)
    found = [_fixes_under(model, pitched, region, turns_rad, max(most, 2), confidence) for pitched in clip.pitched]
    every = (fix for _, fixes in found for fix in fixes)
    return Scores.best_of([scores for scores, _ in found]), ranked(every, confidence=confidence)[:most]


def _fixes_under(
    model: CVLNet,
    clip: TurnedClip,
    region: Region,
    turns_rad: Sequence[float],
    most: int,
    confidence: Confidence | None,
) -> tuple[Scores, tuple[Fix, ...]]:
    """`fixes_in` under one pitch, for which the scores pay its penalty."""
    pitch, neutral = clip.pitch, neutral_of(confidence)
    if len(turns_rad) == 1:
        features = clip.features(turns_rad)
        values, weight = search_encoded(model, features, region, neutral) - pitch.penalty, features.weight[0].cpu()
        fixes = distinct(region, values, model.sharpness.item(), most=most, confidence=confidence, weight=weight)
        turned = tuple(replace(fix, turn_rad=turns_rad[0], pitch_rad=pitch.angle_rad) for fix in fixes)
        return Scores(values, torch.zeros(values.shape, dtype=torch.long)), turned
    scores = _scores_under(model, clip, region, turns_rad, neutral)
    peaks, _ = local_maxima(scores.values)
    peaks = peaks[apart(region.places.xy_m(peaks.double()), max(most, 2))]
    step_rad = min(abs(b - a) for a, b in pairwise(turns_rad))
    around_peaks = [
        refined(clip, region, peak, turns_rad[int(scores.turn[tuple(peak.tolist())])], step_rad, neutral)
        for peak in peaks
    ]
    return scores, ranked(around_peaks, confidence=confidence)[:most]


def search(model: CVLNet, clip: Clip, region: Region, neutral: float | None = None) -> Float[Tensor, "rows cols"]:
    """Scores of a clip, batch shape [frames], at all places of a region; minus infinity where none is sought.

    neutral: as for `Region.scores`.
    """
    return search_turned(model, TurnedClip(model, clip), region, (0.0,), neutral).values


def search_encoded(
    model: CVLNet, asked: ClipFeatures, region: Region, neutral: float | None = None
) -> Float[Tensor, "rows cols"]:
    """`search` for the features of one clip, as `cvlnet.localize.stream` gives them."""
    return region.scores(asked, model.device, neutral)[0]


def search_turned(
    model: CVLNet, clip: TurnedClip, region: Region, turns_rad: Sequence[float], neutral: float | None = None
) -> Scores:
    """The best score of every place over the headings and the pitches. neutral: as for `Region.scores`."""
    return Scores.best_of([_scores_under(model, pitched, region, turns_rad, neutral) for pitched in clip.pitched])


def _scores_under(
    model: CVLNet, clip: TurnedClip, region: Region, turns_rad: Sequence[float], neutral: float | None
) -> Scores:
    """The best score of every place over the headings, under one pitch."""
    best, turn = None, torch.zeros(region.searched.shape, dtype=torch.long)
    features = clip.nearly(turns_rad)
    for first in range(0, len(turns_rad), _TURNS_AT_ONCE):
        some = features[first : first + _TURNS_AT_ONCE]
        values, index = region.scores(some, model.device, neutral).max(dim=0)
        if best is None:
            best, turn = values, index + first
        else:
            turn = torch.where(values > best, index + first, turn)
            best = torch.maximum(values, best)
    assert best is not None
    return Scores(best - clip.pitch.penalty, turn)


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
    xy_m = region.places.xy_m(peaks.double())
    lowest = float(scores[region.searched].min())
    fixes: list[Fix] = []
    for best in apart(xy_m, most, elsewhere_m=elsewhere_m):
        elsewhere = torch.linalg.vector_norm(xy_m - xy_m[best], dim=1) > elsewhere_m
        rival = float(heights[int(elsewhere.int().argmax())]) if bool(elsewhere.any()) else lowest
        fix = fix_at(region, peaks[best], decoded_around(region, scores, peaks[best], sharpness), rival, confidence)
        share = None if weight is None else region.known_share(peaks[best], weight)
        fixes.append(replace(fix, known_share=share))
    return tuple(fixes)


def apart(points_m: Float[Tensor, "n dims"], most: int | None = None, *, elsewhere_m: float = ELSEWHERE_M) -> list[int]:
    """The numbers of the first ``most`` points that lie more than ``elsewhere_m`` from all that are chosen before."""
    left, chosen = torch.ones(len(points_m), dtype=torch.bool), list[int]()
    while bool(left.any()) and (most is None or len(chosen) < most):
        best = int(left.int().argmax())
        chosen.append(best)
        left &= torch.linalg.vector_norm(points_m - points_m[best], dim=1) > elsewhere_m
        left[best] = False
    return chosen


def ranked(fixes: Iterable[Fix], *, confidence: Confidence | None = None) -> tuple[Fix, ...]:
    """Fixes of several searches by falling score, those near a better one dropped, with margins over each other.

    A single one keeps its margin. Confidences follow the margins.
    """
    by_score = sorted(fixes, key=lambda fix: -fix.score)
    if not by_score:
        return ()
    places_m = torch.from_numpy(earth_centred_m([fix.position.degrees for fix in by_score]))
    kept = [by_score[i] for i in apart(places_m)]
    found = []
    for number, fix in enumerate(kept):
        rivals = [other.score for i, other in enumerate(kept) if i != number]
        margin = fix.score - max(rivals) if rivals else fix.margin
        trust = None
        if confidence is not None:
            spread_m = sigma_m(np.array(fix.covariance_m2))
            trust = float(confidence.of(np.array(fix.score), np.array(margin), spread_m))
        found.append(replace(fix, margin=margin, confidence=trust))
    return tuple(found)


def refined(
    clip: TurnedClip, region: Region, peak: Tensor, turn_rad: float, step_rad: float, neutral: float | None
) -> Fix:
    """The fix around a peak (row, column) under the best of finer headings, with the heading's deviation.

    turn_rad: the best of those that were tried everywhere, which are ``step_rad`` apart. neutral: as for
    `Region.scores`.
    """
    count = 2 * max(1, round(step_rad / _FINE_RAD)) + 1
    turns_rad = turn_rad + step_rad * np.linspace(-1, 1, count)
    features = clip.features(turns_rad.tolist())
    scores = scores_around(features, region, peak, region.steps // 2, neutral)
    heights, sharpness = scores.flatten(1).max(dim=1).values.double(), clip.model.sharpness.item()
    belief = (heights * sharpness).softmax(dim=0).numpy()
    best = int(heights.argmax())
    mean_rad = float(belief @ turns_rad)
    deviation_rad = float(np.sqrt(belief @ (turns_rad - mean_rad) ** 2 + (2 * step_rad / (count - 1)) ** 2 / 12))
    decoded = ScoreVolume(scores[best].double(), region.places.cell_m).decode(sharpness)
    rival = float(scores[best][scores[best].isfinite()].min())
    fix = fix_at(region, peak, decoded, rival, None)
    return replace(
        fix,
        score=fix.score - clip.pitch.penalty,
        pitch_rad=clip.pitch.angle_rad,
        known_share=region.known_share(peak, features.weight[best].cpu()),
        turn_rad=float(turns_rad[best]),
        heading_sigma_rad=deviation_rad,
    )


def scores_around(
    clips: ClipFeatures, region: Region, place: Int[Tensor, 2], reach: int, neutral: float | None = None
) -> Float[Tensor, "clips side side"]:
    """Scores of all places as many steps around a place (row, column); minus infinity where none is sought.

    neutral: as for `Region.scores`.
    """
    side, more = 2 * reach + 1, clips.grid.rows - 1
    first = (place - reach).tolist()
    descriptor = cut(region.descriptor.float(), first, side + more)
    uncertainty, searched = cut(region.uncertainty, first, side), cut(region.searched, first, side)
    grid = Grid(side + more, side + more, region.cells.cell_m, clips.grid.center_xy_m)
    tile = MapFeatures(descriptor[None], uncertainty.where(searched, torch.ones(()))[None], grid)
    scores = match(clips, tile.to(clips.descriptor.device)).scores[:, 0].cpu()
    if neutral is not None and bool((hidden := descriptor.any(dim=0).logical_not()).any()):
        unseen = functional.conv2d(hidden.float()[None, None], energy_shares(clips).cpu()[:, None])[0]
        scores = with_unseen(scores, unseen.clamp(0, 1), neutral)
    return scores.masked_fill(~searched, -torch.inf)


def cut(values: Tensor, first: Sequence[int], side: int) -> Tensor:
    """A square of the last two dimensions from a row and column on, zero where it reaches over the edge."""
    low = [max(start, 0) for start in first]
    part = values[..., low[0] : first[0] + side, low[1] : first[1] + side]
    before = [inside - start for inside, start in zip(low, first, strict=True)]
    after = [side - size - gap for size, gap in zip(part.shape[-2:], before, strict=True)]
    return functional.pad(part, (before[1], after[1], before[0], after[0])) if any(before + after) else part


def local_maxima(scores: Float[Tensor, "rows cols"]) -> tuple[Int[Tensor, "peaks 2"], Float[Tensor, peaks]]:
    """Row and column of the places that none of their eight neighbours exceeds, by falling score, and the scores."""
    around = functional.max_pool2d(scores.unsqueeze(0), 3, stride=1, padding=1)[0]
    peaks = ((scores == around) & scores.isfinite()).nonzero()
    heights = scores[peaks[:, 0], peaks[:, 1]]
    order = heights.argsort(descending=True, stable=True)
    return peaks[order], heights[order]


def decoded_around(region: Region, scores: Tensor, peak: Tensor, sharpness: float) -> Decoded:
    """The scores in a window around a peak, decoded; higher ones there belong to a better place and do not count."""
    reach = region.steps // 2
    padded = functional.pad(scores, (reach,) * 4, value=-torch.inf)
    row, col = peak.tolist()
    window = padded[row : row + region.steps, col : col + region.steps]
    own = window.masked_fill(window > scores[row, col], -torch.inf)
    return ScoreVolume(own.double(), region.places.cell_m).decode(sharpness)


def fix_at(region: Region, peak: Tensor, decoded: Decoded, rival: float, confidence: Confidence | None) -> Fix:
    """The fix at a place (row, column) of a region by the scores around it; rival: the best score elsewhere."""
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
