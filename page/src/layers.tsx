// What is drawn on the map, and how strongly.

import { CONFIDENCE_COLORS, CONFIDENCE_NAMES, ODOMETRY_COLOR, TRUTH_COLOR } from "./colors";
import { Icon } from "./icons";
import type { MapView } from "./map-view";
import { type Layer, type Page, OVERLAYS } from "./page";

const LINES: { layer: Layer; name: string; color?: string; needs?: "truth" | "odometry" }[] = [
  { layer: "track", name: "Track" },
  { layer: "others", name: "Possible places", color: "#ffd166" },
  { layer: "truth", name: "Truth", color: TRUTH_COLOR, needs: "truth" },
  { layer: "odometry", name: "Odometry alone", color: ODOMETRY_COLOR, needs: "odometry" },
];
const OVERLAY_NAMES = { belief: "Belief", score: "Scores", projection: "Projection" } as const;

export function LayersPanel({ page, view }: { page: Page; view: MapView }) {
  const open = page.layersOpen;
  const log = page.log.value;
  const overlay = OVERLAYS.some((name) => page.layers.value[name]);
  const box = (layer: Layer, name: string, color?: string, disabled = false, when = "") => (
    <label key={layer} class={disabled ? "disabled" : ""}>
      <input
        type="checkbox"
        checked={page.layers.value[layer]}
        disabled={disabled}
        onChange={() => page.toggleLayer(layer)}
      />
      <span>{name}</span>
      {color && <span class="swatch" style={{ background: color }} />}
      {when && <span class="when muted">{when}</span>}
    </label>
  );
  return (
    <div class="layers">
      <div class="layers-buttons">
        <button class="icon-button" onClick={() => view.wholeMap()} title="Show the whole map">
          <Icon name="fit" />
          <span class="hidden">Show the whole map</span>
        </button>
        {log && (
          <button
            class="icon-button"
            aria-expanded={open.value}
            aria-controls="layers"
            onClick={() => (open.value = !open.value)}
            title="Layers"
          >
            <Icon name="layers" />
            <span class="hidden">Layers</span>
          </button>
        )}
      </div>
      <div id="layers" class="layers-body" hidden={!open.value || !log}>
        {LINES.map(({ layer, name, color, needs }) => box(layer, name, color, !!needs && !log?.[needs].value.length))}
        <hr />
        {OVERLAYS.map((name) =>
          box(name, OVERLAY_NAMES[name], undefined, false, page.layers.value[name] ? page.takenBefore(name) : ""),
        )}
        <label class="opacity">
          <span>Opacity</span>
          <input
            type="range"
            min={0}
            max={1}
            step={0.05}
            disabled={!overlay}
            value={page.opacity.value}
            aria-valuetext={`${Math.round(100 * page.opacity.value)} %`}
            onInput={(event) => (page.opacity.value = event.currentTarget.valueAsNumber)}
          />
        </label>
        <hr />
        <div class="legend">
          <span>Confidence of the track</span>
          {CONFIDENCE_NAMES.map((name, i) => (
            <span key={name}>
              <span class="swatch" style={{ background: CONFIDENCE_COLORS[i] }} />
              {name}
            </span>
          )).toReversed()}
        </div>
      </div>
    </div>
  );
}
