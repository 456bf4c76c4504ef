// A clip located on an overhead image by the exported network, with ONNX Runtime alone.
// `ort` is ONNX Runtime (onnxruntime-web, or another build of it with the same interface).

const BATCH = 4; // tiles that are encoded at once

/** The three graphs of `cvlnet export`. read(name) gives the bytes of a file. */
export async function openNetwork(ort, read) {
  const about = JSON.parse(new TextDecoder().decode(await read("model.json")));
  const sessions = {};
  for (const name of ["overhead", "ground", "match"]) {
    sessions[name] = await ort.InferenceSession.create(await read(`${name}.onnx`), { executionProviders: ["wasm"] });
  }
  return { about, ...sessions };
}

/** Features of a clip. clip: as example.json has it; frames: RGBA bytes of its pictures, newest first. */
export async function encodeClip(ort, network, clip, frames) {
  const { width_px: width, height_px: height } = network.about.image;
  const images = new Uint8Array(frames.length * 3 * width * height);
  frames.forEach((rgba, i) => toPlanes(rgba, width, 0, 0, width, height, images, i * 3 * width * height));
  const count = frames.length;
  const numbers = (values, ...shape) => new ort.Tensor("float32", Float32Array.from(values.flat(3)), [1, count, ...shape]);
  return network.ground.run({
    images: new ort.Tensor("uint8", images, [1, count, 3, height, width]),
    focal_px: numbers(clip.focal_px, 2),
    principal_point_px: numbers(clip.principal_point_px, 2),
    rotation: numbers(clip.rotation, 3, 3),
    translation_m: numbers(clip.translation_m, 3),
  });
}

/**
 * Scores of all places of a square overhead image, as rows from the north, and columns from the west.
 *
 * rgba: its bytes, in cells of the network's tiles, north up. side: its width and height in pixels, those of a tile and a
 * whole number of strides more, so that the places of neighbouring tiles join without a gap.
 * progress(share) is awaited after every batch of tiles.
 */
export async function scorePlaces(ort, network, features, rgba, side, progress = async () => {}) {
  const { tile_grid: tile, map_grid: map, clip_grid: clip } = network.about;
  const steps = map.rows - clip.rows + 1; // displacements of a clip on a tile, along each axis
  const stride = Math.round((steps * map.cell_m) / tile.cell_m);
  const count = Math.floor((side - tile.rows) / stride) + 1;
  const places = new Float32Array((count * steps) ** 2);
  const tiles = Array.from({ length: count ** 2 }, (_, i) => [Math.floor(i / count), i % count]);
  for (let first = 0; first < tiles.length; first += BATCH) {
    const batch = tiles.slice(first, first + BATCH);
    const size = 3 * tile.rows * tile.cols;
    const pixels = new Uint8Array(batch.length * size);
    batch.forEach(([row, col], i) => toPlanes(rgba, side, col * stride, row * stride, tile.cols, tile.rows, pixels, i * size));
    const encoded = await network.overhead.run({
      tiles: new ort.Tensor("uint8", pixels, [batch.length, 3, tile.rows, tile.cols]),
    });
    const { scores } = await network.match.run({ ...features, ...encoded });
    batch.forEach(([row, col], i) => {
      for (let r = 0; r < steps; r++) {
        const from = (i * steps + r) * steps;
        places.set(scores.data.subarray(from, from + steps), (row * steps + r) * count * steps + col * steps);
      }
    });
    await progress((first + batch.length) / tiles.length);
  }
  return { places, rows: count * steps, cellM: map.cell_m };
}

/** The best place, metres east and north of the image's middle, and the probability of everything around it. */
export function bestPlace({ places, rows, cellM }, sharpness, aroundM = 5) {
  const most = places.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = places.map((score) => Math.exp(sharpness * (score - most)));
  const at = places.indexOf(most);
  const xy = (i) => [((i % rows) - (rows - 1) / 2) * cellM, ((rows - 1) / 2 - Math.floor(i / rows)) * cellM];
  const [east_m, north_m] = xy(at);
  let near = 0;
  let all = 0;
  weights.forEach((weight, i) => {
    const [x, y] = xy(i);
    all += weight;
    if (Math.hypot(x - east_m, y - north_m) <= aroundM) near += weight;
  });
  return { east_m, north_m, share: near / all, weights };
}

/** Copy a rectangle of RGBA bytes into planes of red, green and blue. */
function toPlanes(rgba, width, left, top, cols, rows, planes, offset) {
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const from = 4 * ((top + row) * width + left + col);
      const to = offset + row * cols + col;
      for (let color = 0; color < 3; color++) planes[to + color * rows * cols] = rgba[from + color];
    }
  }
}
