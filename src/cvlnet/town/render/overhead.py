"""The overhead image: rendered in chunks with the light of the flight, then degraded like real imagery."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from cvlnet.grid import Grid
from cvlnet.town.presets import Nuisances
from cvlnet.town.render.light import flight_light
from cvlnet.town.render.photo import TONES, tone_curve
from cvlnet.town.render.raster import empty_picture, rasterise
from cvlnet.town.render.shade import shade
from cvlnet.town.render.stage import Stage, prepare
from cvlnet.town.render.view import from_above
from cvlnet.town.scene import Mesh, Scene

CHUNK_PX = 512
SUPERSAMPLING = 2  # in each direction
REACH_PX = 32  # of blur, coarsening and JPEG's blocks of 16 px
MISREGISTRATION_M = 1.5
UPRIGHT, OBLIQUE = 0.06, 0.25  # largest displacement per metre of height, in usual and in oblique flights
OBLIQUE_SHARE, COARSE_SHARE, TEXT_SHARE = 0.3, 0.4, 0.2  # of the flights, at strength 1
WRITING = ("Imagery", "Geodata", "Survey", "Aerial 24", "(c) Maps", "Sample")


@dataclass(frozen=True)
class Strip:
    """One flight strip: the columns [first, stop) of the image, its offset in metres (east, north), lean and gain."""

    first_px: int
    stop_px: int
    offset_m: tuple[float, float]
    lean: tuple[float, float]
    gain: Float64[np.ndarray, " 3"]  # of red, green and blue


@dataclass(frozen=True)
class Flight:
    """How the overhead image was taken. coarser: factor by which its resolution is reduced. text: its watermark."""

    strips: tuple[Strip, ...]
    cast: Float64[np.ndarray, " 3"]
    haze: float
    contrast: float
    exposure: float
    blur_sigma_px: float
    noise: float
    jpeg_quality: int | None
    coarser: float
    text: str | None
    seed: int


def plan_flight(rng: np.random.Generator, nuisances: Nuisances, cols: int, cell_m: float) -> Flight:
    """Draw the strips of a flight and the degradations of its image."""
    count = int(rng.integers(1, 4)) if cols * cell_m > 300 else 1
    edges = [0, *sorted(int(cols * (k + rng.uniform(-0.2, 0.2)) / count) for k in range(1, count)), cols]
    strips = []
    aslant = rng.random() < OBLIQUE_SHARE * nuisances.oblique
    slant = OBLIQUE if aslant else UPRIGHT
    for first, stop in pairwise(edges):
        east_m, north_m = rng.normal(0.0, MISREGISTRATION_M / np.sqrt(2), 2) * nuisances.misregistration
        lean = rng.uniform(-slant, slant, 2) * min(max(nuisances.misregistration, float(aslant)), 2.0)
        light, tint = 0.05 * nuisances.overhead_light * rng.uniform(-1, 1), rng.normal(0.0, 0.02, 3)
        gain = 1.0 + light + nuisances.seams * (rng.normal(0.0, 0.06) + tint)
        strips.append(Strip(first, stop, (float(east_m), float(north_m)), (float(lean[0]), float(lean[1])), gain))
    light = min(nuisances.overhead_light, 2.0)
    quality = round(100 - 22 * nuisances.overhead_jpeg * float(rng.uniform(0.4, 1.2)))
    return Flight(
        strips=tuple(strips),
        cast=1.0 + light * rng.normal(0.0, 0.035, 3),
        haze=0.03 * light * float(rng.uniform(0.0, 1.0)),
        contrast=0.5 + 0.3 * light * float(rng.uniform(-1, 1)),
        exposure=1.55 * float(np.exp(0.12 * light * rng.normal())),
        blur_sigma_px=0.9 * nuisances.overhead_blur * float(rng.uniform(0.2, 1.0)),
        noise=2.5 * nuisances.overhead_noise * float(rng.uniform(0.4, 1.3)),
        jpeg_quality=max(quality, 20) if nuisances.overhead_jpeg > 0 else None,
        coarser=float(rng.uniform(1.3, 2.2)) if rng.random() < COARSE_SHARE * nuisances.coarse else 1.0,
        text=str(rng.choice(WRITING)) if rng.random() < TEXT_SHARE * nuisances.overhead_text else None,
        seed=int(rng.integers(2**31)),
    )


def render_overhead(
    scene: Scene,
    grid: Grid,
    nuisances: Nuisances,
    rng: np.random.Generator,
    wanted: Bool[np.ndarray, "rows cols"] | None = None,
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Render the overhead image on ``grid``, RGB.

    wanted: pixels that are as in the whole image, whatever the others become; it is drawn faster.
    """
    light = flight_light(
        rng,
        nuisances.overhead_light,
        nuisances.overhead_shadows,
        nuisances.season,
        nuisances.leafless,
        nuisances.autumn,
    )
    flight = plan_flight(rng, nuisances, grid.cols, grid.cell_m)
    stage = prepare([scene.static, scene.parked_at_flight, scene.traffic_at_flight], scene.ground, light)
    picture = np.zeros((grid.rows, grid.cols, 3), np.uint8)
    curve = tone_curve(flight.contrast)
    for strip in flight.strips:
        tops, lefts = range(0, grid.rows, CHUNK_PX), range(strip.first_px, strip.stop_px, CHUNK_PX)
        for top, left in product(tops, lefts):
            bottom, right = min(top + CHUNK_PX, grid.rows), min(left + CHUNK_PX, strip.stop_px)
            if wanted is not None and not wanted[_around(top, bottom), _around(left, right)].any():
                continue
            radiance = _draw(stage, _window(grid, top, bottom, left, right), strip)
            picture[top:bottom, left:right] = _expose(radiance, flight, strip.gain, curve)
    return _spoil(picture, flight)


def _around(first: int, stop: int) -> slice:
    """The pixels whose degraded colour depends on those from ``first`` to before ``stop``."""
    return slice(max(first - REACH_PX, 0), stop + REACH_PX)


def _window(grid: Grid, top: int, bottom: int, left: int, right: int) -> Grid:
    """The part of a grid with the rows [top, bottom) and columns [left, right)."""
    east_m = grid.center_xy_m[0] + ((left + right) / 2 - grid.cols / 2) * grid.cell_m
    north_m = grid.center_xy_m[1] - ((top + bottom) / 2 - grid.rows / 2) * grid.cell_m
    return Grid(bottom - top, right - left, grid.cell_m, (east_m, north_m))


def _draw(stage: Stage, grid: Grid, strip: Strip) -> Float32[np.ndarray, "rows cols 3"]:
    """Linear radiance of a chunk, supersampled."""
    shifted = grid.centered_at((grid.center_xy_m[0] + strip.offset_m[0], grid.center_xy_m[1] + strip.offset_m[1]))
    fine = Grid(grid.rows * SUPERSAMPLING, grid.cols * SUPERSAMPLING, grid.cell_m / SUPERSAMPLING, shifted.center_xy_m)
    view = from_above(fine, strip.lean)
    mesh = _below(stage, fine, strip.lean)
    nearness, triangle = empty_picture(view)
    rasterise(view, mesh, nearness, triangle, stage.lighting.light.leafless)
    radiance = np.minimum(shade(view, mesh, triangle, stage.lighting), np.float32(1.5))
    return np.asarray(cv2.resize(radiance, (grid.cols, grid.rows), interpolation=cv2.INTER_AREA), np.float32)


def _below(stage: Stage, grid: Grid, lean: tuple[float, float]) -> Mesh:
    """Triangles of all buckets that may be visible in a window of the image."""
    reach_m = [abs(lean[axis]) * np.maximum(np.abs(stage.high_m[:, 2]), np.abs(stage.low_m[:, 2])) for axis in (0, 1)]
    near = np.ones(len(stage.low_m), bool)
    for axis in (0, 1):
        half_m = grid.size_m[axis] / 2
        near &= stage.low_m[:, axis] - reach_m[axis] < grid.center_xy_m[axis] + half_m
        near &= stage.high_m[:, axis] + reach_m[axis] > grid.center_xy_m[axis] - half_m
    ranges = [np.arange(stage.first[b], stage.first[b + 1]) for b in np.flatnonzero(near)]
    return stage.mesh.selected(np.concatenate(ranges) if ranges else np.zeros(0, np.int64))


def _expose(
    radiance: Float32[np.ndarray, "rows cols 3"],
    flight: Flight,
    gain: Float64[np.ndarray, " 3"],
    curve: Float32[np.ndarray, " tones"],
) -> UInt8[np.ndarray, "rows cols 3"]:
    light = radiance * np.asarray(flight.exposure * gain * flight.cast, np.float32)
    light = light * np.float32(1 - flight.haze) + np.float32(flight.haze) * np.array([0.75, 0.85, 1.0], np.float32)
    index = np.minimum(np.sqrt(np.maximum(light, 0)) * (TONES - 1), TONES - 1).astype(np.int32)
    return np.asarray(curve[index] + 0.5, np.float32).clip(0, 255).astype(np.uint8)


def _spoil(picture: UInt8[np.ndarray, "rows cols 3"], flight: Flight) -> UInt8[np.ndarray, "rows cols 3"]:
    """Degrade an image by blur, noise, watermark and JPEG compression."""
    if flight.coarser > 1.0:
        picture = _coarsened(picture, flight.coarser)
    if flight.blur_sigma_px > 0.05:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), flight.blur_sigma_px), np.uint8)
    if flight.noise > 0:
        rng = np.random.default_rng(flight.seed)
        for top in range(0, len(picture), CHUNK_PX):
            rows = picture[top : top + CHUNK_PX]
            grain = rng.standard_normal(rows.shape, np.float32) * np.float32(flight.noise)
            rows[:] = (rows + grain + 0.5).clip(0, 255).astype(np.uint8)
    if flight.text is not None:
        picture = _inscribed(picture, flight.text, flight.seed)
    if flight.jpeg_quality is not None:
        bgr = np.ascontiguousarray(picture[..., ::-1])
        _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, flight.jpeg_quality])
        picture = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return picture


def _coarsened(picture: UInt8[np.ndarray, "rows cols 3"], times: float) -> UInt8[np.ndarray, "rows cols 3"]:
    """The image with its resolution reduced by a factor, at the same size."""
    rows, cols = picture.shape[:2]
    small = cv2.resize(picture, (round(cols / times), round(rows / times)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (cols, rows), interpolation=cv2.INTER_CUBIC), np.uint8)


def _inscribed(picture: UInt8[np.ndarray, "rows cols 3"], text: str, seed: int) -> UInt8[np.ndarray, "rows cols 3"]:
    """The image with a repeated, translucent watermark."""
    rng = np.random.default_rng(seed)
    letters = np.zeros(picture.shape[:2], np.uint8)
    size, step_px = float(rng.uniform(0.6, 1.6)), int(rng.integers(250, 600))
    for row, top in enumerate(range(0, picture.shape[0], step_px)):
        for left in range(-(row % 2) * step_px // 2, picture.shape[1], step_px):
            cv2.putText(letters, text, (left, top), cv2.FONT_HERSHEY_SIMPLEX, size, 255, 2, cv2.LINE_AA)
    opacity = np.float32(rng.uniform(0.15, 0.5) / 255)
    for top in range(0, len(picture), CHUNK_PX):  # in chunks: the whole image as floats would take a gigabyte
        rows = picture[top : top + CHUNK_PX]
        share = letters[top : top + CHUNK_PX, :, None] * opacity
        rows[:] = (rows + (255 - rows.astype(np.float32)) * share + 0.5).astype(np.uint8)
    return picture
