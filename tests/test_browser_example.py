"""The browser example's search: how the scores of tiles join to those of places, and which place is the best."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "examples" / "browser"
NODE = shutil.which("node")
# tiles of 8 m, with 3 displacements of 2 m along each axis; a score is the red and green of the pixel at its place
SCRIPT = """
import { bestPlace, encodeClip, scorePlaces } from "LOCATE";
class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } }
const about = {
  image: { width_px: 2, height_px: 1 },
  tile_grid: { rows: 8, cols: 8, cell_m: 1 }, map_grid: { rows: 4, cell_m: 2 }, clip_grid: { rows: 2, cell_m: 2 },
};
const batches = [];
const network = {
  about,
  ground: { run: async (inputs) => inputs },
  overhead: { run: async ({ tiles }) => { batches.push(tiles.dims[0]); return { tiles }; } },
  match: { run: async ({ tiles }) => {
    const pixel = (i, color, row, col) => tiles.data[((i * 3 + color) * 8 + row) * 8 + col];
    const data = new Float32Array(tiles.dims[0] * 9);
    data.forEach((_, k) => {
      const [i, row, col] = [Math.floor(k / 9), 2 + 2 * (Math.floor(k / 3) % 3), 2 + 2 * (k % 3)];
      data[k] = 100 * pixel(i, 0, row, col) + pixel(i, 1, row, col);
    });
    return { scores: { data } };
  } },
};
const side = 20;
const rgba = Uint8ClampedArray.from({ length: 4 * side * side }, (_, k) => {
  const [row, col] = [Math.floor(k / 4 / side), Math.floor(k / 4) % side];
  return [row, col, 7, 255][k % 4];
});
const shares = [];
const found = await scorePlaces({ Tensor }, network, {}, rgba, side, async (share) => shares.push(share));
const { east_m, north_m, share } = bestPlace(found, 10, 0.5);
const clip = { focal_px: [[1, 2], [3, 4]], principal_point_px: [[5, 6], [7, 8]],
  rotation: [1, 2].map((i) => [[i, 0, 0], [0, i, 0], [0, 0, i]]), translation_m: [[1, 2, 3], [4, 5, 6]] };
const frames = [Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 255), Uint8ClampedArray.of(7, 8, 9, 255, 10, 11, 12, 255)];
const inputs = await encodeClip({ Tensor }, network, clip, frames);
const plain = Object.fromEntries(Object.entries(inputs).map(([k, v]) => [k, { dims: v.dims, data: [...v.data] }]));
console.log(JSON.stringify({ ...found, places: [...found.places], east_m, north_m, share, batches, shares, plain }));
"""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    if NODE is None:
        pytest.skip("Node.js runs the page's code")
    script = SCRIPT.replace("LOCATE", (PAGE / "locate.js").as_uri())
    done = subprocess.run([NODE, "--input-type=module", "-e", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_places_of_neighbouring_tiles_join(found: dict[str, Any]) -> None:
    assert (found["rows"], found["cellM"]) == (9, 2)
    assert found["places"] == [100 * (2 + 2 * row) + 2 + 2 * col for row in range(9) for col in range(9)]


def test_the_best_place_is_east_and_north_of_the_middle(found: dict[str, Any]) -> None:
    """The last place, in the south-east."""
    assert (found["east_m"], found["north_m"]) == (8, -8)
    assert found["share"] == pytest.approx(1)


def test_progress_is_told_after_every_batch(found: dict[str, Any]) -> None:
    assert found["batches"] == [4, 4, 1]
    assert found["shares"] == [4 / 9, 8 / 9, 1]


def test_a_clip_is_given_to_the_network_in_planes(found: dict[str, Any]) -> None:
    inputs = found["plain"]
    assert inputs["images"] == {"dims": [1, 2, 3, 1, 2], "data": [1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12]}
    assert inputs["focal_px"] == {"dims": [1, 2, 2], "data": [1, 2, 3, 4]}
    assert inputs["rotation"]["dims"] == [1, 2, 3, 3]
    assert inputs["translation_m"] == {"dims": [1, 2, 3], "data": [1, 2, 3, 4, 5, 6]}
