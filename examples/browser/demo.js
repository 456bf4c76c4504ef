// The page: reads the example, locates its clip, and draws where it is.
import * as ort from "./ort.wasm.min.mjs";
import { bestPlace, encodeClip, openNetwork, scorePlaces } from "./locate.js";

ort.env.wasm.numThreads = 1; // more need headers that a plain server of files does not send
const element = (id) => document.getElementById(id);

async function bytes(name) {
  const answer = await fetch(`example/${name}`);
  if (!answer.ok) throw new Error(`example/${name} is not there: run browser_example.py, then npm run build`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** The RGBA bytes of a picture, and its bitmap. */
async function picture(name) {
  const bitmap = await createImageBitmap(new Blob([await bytes(name)]), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return { bitmap, rgba: context.getImageData(0, 0, bitmap.width, bitmap.height).data };
}

function say(text) {
  element("status").textContent = text;
}

/** The probability of each place as a red layer over the map, and a cross on the best place and on the truth. */
function draw(map, scores, best, clip) {
  const canvas = element("map");
  const context = canvas.getContext("2d");
  canvas.width = canvas.height = map.bitmap.width;
  context.drawImage(map.bitmap, 0, 0);
  const heat = new ImageData(scores.rows, scores.rows);
  best.weights.forEach((weight, i) => heat.data.set([230, 60, 20, 210 * weight ** 0.25], 4 * i));
  const layer = new OffscreenCanvas(scores.rows, scores.rows);
  layer.getContext("2d").putImageData(heat, 0, 0);
  const sidePx = (scores.rows * scores.cellM) / clip.m_per_px;
  const edgePx = (canvas.width - sidePx) / 2;
  context.drawImage(layer, edgePx, edgePx, sidePx, sidePx);
  cross(context, clip, clip.truth_m, "white");
  cross(context, clip, [best.east_m, best.north_m], "cyan");
}

function cross(context, clip, [east_m, north_m], color) {
  const x = context.canvas.width / 2 + east_m / clip.m_per_px;
  const y = context.canvas.height / 2 - north_m / clip.m_per_px;
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x - 9, y);
  context.lineTo(x + 9, y);
  context.moveTo(x, y - 9);
  context.lineTo(x, y + 9);
  context.stroke();
}

async function main() {
  say("Loading the network …");
  const begin = performance.now();
  const network = await openNetwork(ort, bytes);
  const clip = JSON.parse(new TextDecoder().decode(await bytes("example.json")));
  const map = await picture("map.png");
  const frames = await Promise.all(clip.frames.map(picture));
  frames.forEach(({ bitmap }, i) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", i === 0 ? "The newest frame" : `Frame ${i} before it`);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    element("frames").append(canvas);
  });
  const loaded = performance.now();
  say("Encoding the clip …");
  const features = await encodeClip(ort, network, clip, frames.map(({ rgba }) => rgba));
  const encoded = performance.now();
  const scores = await scorePlaces(ort, network, features, map.rgba, map.bitmap.width, async (share) => {
    say(`Searching the map: ${Math.round(100 * share)} %`);
    await new Promise(requestAnimationFrame);
  });
  const done = performance.now();
  const best = bestPlace(scores, network.about.sharpness);
  draw(map, scores, best, clip);
  const error_m = Math.hypot(best.east_m - clip.truth_m[0], best.north_m - clip.truth_m[1]);
  const seconds = [loaded - begin, encoded - loaded, done - encoded].map((ms) => (ms / 1000).toFixed(1));
  say(
    `Found ${error_m.toFixed(1)} m from the truth (white), with ${(100 * best.share).toFixed(0)} % of the probability ` +
      `within 5 m. Loading took ${seconds[0]} s, the clip ${seconds[1]} s, the map ${seconds[2]} s.`,
  );
  element("credit").textContent = clip.credit;
  document.body.dataset.state = "done";
}

main().catch((error) => {
  say(String(error.message ?? error));
  document.body.dataset.state = "failed";
});
