// The overhead map and all that is drawn on it.

import { computed, effect, signal } from "@preact/signals";
import type { FeatureCollection } from "geojson";
import {
  type CanvasSource,
  type ExpressionSpecification,
  type GeoJSONSource,
  type StyleSpecification,
  Map as MapLibre,
  Marker,
  NavigationControl,
  ScaleControl,
  setWorkerUrl,
} from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";

import { type Corners, type Fix, type Hypothesis, type Picture, DEFAULT_SIGMA_M } from "./api";
import { CASING_COLOR, CONFIDENCE_COLORS, ODOMETRY_COLOR, TRUTH_COLOR } from "./colors";
import { percent } from "./format";
import {
  type DrawnPose,
  apart,
  distance_m,
  drawnPose,
  ellipseOutline,
  hasPlace,
  line,
  nearestFix,
  placeAt,
  trackLines,
} from "./geo";
import { type Layer, type Overlay, type Page, OVERLAYS } from "./page";

setWorkerUrl(new URL(workerUrl, location.href).href);

const NOTHING: FeatureCollection = { type: "FeatureCollection", features: [] };
const CLICK_PX = 16; // that a click may miss the track
const TRACK_MS = 120; // at most this often the track is drawn anew
const FOUND_ZOOM = 18.25;
const SURE = 0.95; // below this other places are drawn beside a tracked vehicle
const ARROW_PX = 48;
const LABELS_PX = 44; // between the probabilities of places
const BY_CONFIDENCE: ExpressionSpecification = [
  "match",
  ["get", "confidence"],
  0,
  CONFIDENCE_COLORS[0],
  1,
  CONFIDENCE_COLORS[1],
  2,
  CONFIDENCE_COLORS[2],
  CONFIDENCE_COLORS[3],
];
const WIDTH: ExpressionSpecification = ["interpolate", ["linear"], ["zoom"], 13, 2, 17, 4, 20, 7];
const CASING_WIDTH: ExpressionSpecification = ["interpolate", ["linear"], ["zoom"], 13, 3.5, 17, 6.5, 20, 11];

const LAYER_IDS: Record<Layer, string[]> = {
  track: ["track-casing", "track-whole", "track"],
  others: ["others"],
  truth: ["truth-casing", "truth", "truth-now"],
  odometry: ["odometry"],
  belief: ["belief"],
  score: ["score"],
  projection: ["projection"],
};

const reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");

/** Shows a page's map in an element. */
export class MapView {
  /** Why there is no map. */
  readonly failure = signal<string | null>(null);

  private readonly map: MapLibre | null;
  private readonly canvases = Object.fromEntries(
    OVERLAYS.map((overlay) => [overlay, document.createElement("canvas")]),
  ) as Record<Overlay, HTMLCanvasElement>;
  private readonly vehicle: Marker;
  private readonly labels: Marker[] = [];
  private readonly startMarker: Marker;
  private shown: { session: string; tracked: boolean } = { session: "", tracked: false };
  private trackDrawn = { at: 0, timer: 0, whole: "" };

  constructor(
    private readonly page: Page,
    container: HTMLElement,
  ) {
    this.vehicle = new Marker({ element: vehicleElement(), rotationAlignment: "map", pitchAlignment: "map" });
    this.startMarker = new Marker({ element: element("div", "start-pin", "The drive begins near here") });
    this.map = this.create(container);
    if (!this.map) return;
    const { map } = this;
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();
    map.addControl(new NavigationControl({ showCompass: false }), "top-left");
    map.addControl(new ScaleControl({ maxWidth: 110, unit: "metric" }), "bottom-left");
    map.on("load", () => this.loaded());
    map.on("click", (event) => this.clicked(event.lngLat.lat, event.lngLat.lng, event.point));
    map.on("dragstart", () => (page.follow.value = false));
  }

  wholeMap(): void {
    this.page.follow.value = false;
    this.fitMap();
  }

  flyTo(place: { latitude_deg: number; longitude_deg: number }): void {
    this.page.follow.value = false;
    const zoom = Math.max(FOUND_ZOOM, this.map?.getZoom() ?? 0);
    this.map?.easeTo({ center: [place.longitude_deg, place.latitude_deg], zoom, animate: !reducedMotion.matches });
  }

  private fitMap(): void {
    this.map?.fitBounds(this.page.map.bounds, { padding: 24, animate: !reducedMotion.matches });
  }

  private create(container: HTMLElement): MapLibre | null {
    const { bounds, max_zoom } = this.page.map;
    try {
      return new MapLibre({
        container,
        style: this.style(),
        bounds,
        fitBoundsOptions: { padding: 24 },
        maxZoom: Math.max(21, max_zoom),
        attributionControl: false, // the credit is a part of the page, and is never folded away
        dragRotate: false,
        pitchWithRotate: false,
        fadeDuration: 0,
        renderWorldCopies: false,
        locale: { "Map.Title": "Overhead map" },
      });
    } catch {
      this.failure.value = "This browser has no WebGL, which the map needs. Everything else works without it.";
      return null;
    }
  }

  private style(): StyleSpecification {
    const { tiles, min_zoom, max_zoom, bounds, corners } = this.page.map;
    const data = NOTHING;
    const round = { "line-cap": "round", "line-join": "round" } as const;
    const casing = { "line-color": CASING_COLOR, "line-width": CASING_WIDTH, "line-opacity": 0.7 };
    return {
      version: 8,
      sources: {
        imagery: {
          type: "raster",
          tiles: [location.origin + tiles],
          tileSize: 256,
          minzoom: min_zoom,
          maxzoom: max_zoom,
          bounds,
        },
        edge: { type: "geojson", data: line(closed(corners)) },
        ...Object.fromEntries(
          OVERLAYS.map((overlay) => [
            overlay,
            { type: "canvas", canvas: this.canvases[overlay], coordinates: corners, animate: false },
          ]),
        ),
        ...Object.fromEntries(
          ["odometry", "truth", "truth-now", "track-whole", "track", "ellipse", "others", "start"].map((id) => [
            id,
            { type: "geojson", data },
          ]),
        ),
      } as StyleSpecification["sources"],
      layers: [
        { id: "background", type: "background", paint: { "background-color": "#1b242b" } },
        { id: "imagery", type: "raster", source: "imagery", paint: { "raster-fade-duration": 0 } },
        { id: "edge", type: "line", source: "edge", paint: { "line-color": "#8fa3b0", "line-opacity": 0.5 } },
        ...OVERLAYS.map((id) => ({ id, type: "raster" as const, source: id, paint: { "raster-fade-duration": 0 } })),
        {
          id: "odometry",
          type: "line",
          source: "odometry",
          layout: round,
          paint: { "line-color": ODOMETRY_COLOR, "line-width": 2.5, "line-dasharray": [1.5, 2] },
        },
        { id: "truth-casing", type: "line", source: "truth", layout: round, paint: { ...casing, "line-width": 4.5 } },
        {
          id: "truth",
          type: "line",
          source: "truth",
          layout: round,
          paint: { "line-color": TRUTH_COLOR, "line-width": 2 },
        },
        { id: "track-casing", type: "line", source: "track", layout: round, paint: casing },
        {
          id: "track-whole",
          type: "line",
          source: "track-whole",
          layout: round,
          paint: { "line-color": BY_CONFIDENCE, "line-width": 2, "line-opacity": 0.55 },
        },
        {
          id: "track",
          type: "line",
          source: "track",
          layout: round,
          paint: { "line-color": BY_CONFIDENCE, "line-width": WIDTH },
        },
        {
          id: "ellipse",
          type: "fill",
          source: "ellipse",
          paint: { "fill-color": CONFIDENCE_COLORS[3], "fill-opacity": 0.25 },
        },
        { id: "ellipse-line", type: "line", source: "ellipse", paint: { "line-color": "#ffffff", "line-width": 1.5 } },
        {
          id: "truth-now",
          type: "circle",
          source: "truth-now",
          paint: {
            "circle-radius": 5,
            "circle-color": "transparent",
            "circle-stroke-color": TRUTH_COLOR,
            "circle-stroke-width": 2,
          },
        },
        {
          id: "others",
          type: "symbol",
          source: "others",
          layout: {
            "icon-image": "arrow",
            "icon-rotate": ["get", "heading_deg"],
            "icon-rotation-alignment": "map",
            "icon-allow-overlap": true,
            "icon-ignore-placement": true,
          },
          paint: { "icon-opacity": ["get", "opacity"] },
        },
        {
          id: "start",
          type: "fill",
          source: "start",
          paint: { "fill-color": "#ffffff", "fill-opacity": 0.18, "fill-outline-color": "#ffffff" },
        },
      ],
    };
  }

  private loaded(): void {
    const { page } = this;
    const map = this.map!;
    map.addImage("arrow", arrowImage(), { pixelRatio: 2 });
    map.on("mousemove", (event) => {
      const seeks = this.fixAt(event.point) !== null;
      map.getCanvas().style.cursor = page.picking.peek() ? "crosshair" : seeks ? "pointer" : "";
    });
    effect(() => {
      if (page.picking.value) map.getCanvas().style.cursor = "crosshair";
      else map.getCanvas().style.cursor = "";
    });
    effect(() => this.setVisibility());
    const dimmed = computed(() => page.layers.value.belief && (page.player.fix.value?.state ?? "tracking") !== "tracking");
    effect(() => {
      map.setPaintProperty("imagery", "raster-saturation", dimmed.value ? -0.6 : 0); // so that the belief stands out
      map.setPaintProperty("imagery", "raster-brightness-max", dimmed.value ? 0.6 : 1);
    });
    for (const overlay of OVERLAYS) {
      effect(() => {
        map.setPaintProperty(overlay, "raster-opacity", page.opacity.value);
      });
      effect(() => this.drawOverlay(overlay, page.pictures[overlay].shown.value));
    }
    effect(() => this.drawTrack(page.log.value?.count.value ?? 0, page.player.index.value + 1));
    effect(() => {
      const places = page.log.value?.truth.value ?? [];
      this.set("truth", places.length > 1 ? collection(line(places)) : NOTHING);
    });
    effect(() => {
      const places = page.log.value?.odometry.value ?? [];
      this.set("odometry", places.length > 1 ? collection(line(places)) : NOTHING);
    });
    const truthNow = computed(() =>
      page.layers.value.truth ? placeAt(page.log.value?.truth.value ?? [], page.player.time_s.value) : null,
    );
    effect(() => {
      const at = truthNow.value;
      const geometry = at && { type: "Point" as const, coordinates: [at.longitude_deg, at.latitude_deg] };
      this.set("truth-now", geometry ? collection({ type: "Feature", properties: {}, geometry }) : NOTHING);
    });
    const zoomed = signal(0);
    map.on("zoomend", () => zoomed.value++);
    effect(() => {
      void zoomed.value; // labels that were too close to each other may have room now
      this.drawFix(page.player.fix.value, page.layers.value.others);
    });
    effect(() => {
      const log = page.log.value;
      this.drawVehicle(log ? drawnPose(log.fixes, page.player.index.value, page.player.time_s.value) : null);
    });
    effect(() => this.drawStart());
    effect(() => {
      const id = page.log.value?.session.value.id ?? "";
      if (id !== this.shown.session) this.shown = { session: id, tracked: false };
    });
  }

  private set(source: string, data: FeatureCollection): void {
    (this.map!.getSource(source) as GeoJSONSource).setData(data);
  }

  private setVisibility(): void {
    const { layers } = this.page;
    for (const [layer, ids] of Object.entries(LAYER_IDS) as [Layer, string[]][]) {
      const overlay = OVERLAYS.find((name) => name === layer);
      const there = overlay === undefined || this.page.pictures[overlay].shown.value?.corners != null;
      const visibility = layers.value[layer] && there ? "visible" : "none";
      for (const id of ids) this.map!.setLayoutProperty(id, "visibility", visibility);
    }
  }

  private drawOverlay(overlay: Overlay, picture: Picture | null): void {
    if (!picture?.corners) return;
    const canvas = this.canvases[overlay];
    canvas.width = picture.image.width;
    canvas.height = picture.image.height;
    canvas.getContext("2d")!.drawImage(picture.image, 0, 0);
    const source = this.map!.getSource(overlay) as CanvasSource;
    source.setCoordinates(picture.corners);
    source.play(); // and pause: takes the canvas once
    source.pause();
    this.map!.triggerRepaint();
  }

  /** count: of the fixes that are there. end: of those up to the moment that is shown. */
  private drawTrack(count: number, end: number): void {
    window.clearTimeout(this.trackDrawn.timer);
    const draw = () => {
      const log = this.page.log.peek();
      const fixes = log?.fixes ?? [];
      const whole = `${log?.session.peek().id} ${count}`;
      if (whole !== this.trackDrawn.whole) this.set("track-whole", trackLines(fixes));
      this.set("track", trackLines(fixes, end));
      this.trackDrawn = { at: performance.now(), timer: 0, whole };
    };
    const wait_ms = this.trackDrawn.at + TRACK_MS - performance.now();
    if (wait_ms <= 0) draw();
    else this.trackDrawn.timer = window.setTimeout(draw, wait_ms);
  }

  private drawFix(fix: Fix | null, others: boolean): void {
    const ellipse = fix && fix.state === "tracking" && hasPlace(fix) && fix.ellipse;
    this.set("ellipse", ellipse ? collection(ellipseOutline(fix, ellipse)) : NOTHING);
    const places = fix && others ? otherPlaces(fix) : [];
    this.set("others", {
      type: "FeatureCollection",
      features: places.map((place) => ({
        type: "Feature",
        properties: { heading_deg: place.heading_deg, opacity: 0.65 + 0.35 * place.probability },
        geometry: { type: "Point", coordinates: [place.longitude_deg, place.latitude_deg] },
      })),
    });
    const labelled = apart(places, (place) => this.map!.project([place.longitude_deg, place.latitude_deg]), LABELS_PX);
    while (this.labels.length > labelled.length) this.labels.pop()!.remove();
    labelled.forEach((place, i) => {
      this.labels[i] ??= new Marker({ element: element("div", "place-label"), anchor: "left", offset: [16, 0] });
      const label = this.labels[i];
      label.getElement().textContent = percent(place.probability);
      label.getElement().setAttribute("aria-label", `A place that is possible, with ${percent(place.probability)}`);
      label.setLngLat([place.longitude_deg, place.latitude_deg]).addTo(this.map!);
    });
  }

  private drawVehicle(pose: DrawnPose | null): void {
    const map = this.map!;
    if (!pose) {
      this.vehicle.remove();
      if (this.shown.tracked && this.page.follow.value) this.fitMap();
      this.shown.tracked = false;
      return;
    }
    const center: [number, number] = [pose.longitude_deg, pose.latitude_deg];
    this.vehicle.setLngLat(center).setRotation(pose.heading_deg).addTo(map);
    if (!this.page.follow.value) return;
    const found = !this.shown.tracked;
    this.shown.tracked = true;
    const zoom = found ? Math.max(map.getZoom(), FOUND_ZOOM) : map.getZoom();
    if (found && !reducedMotion.matches) map.easeTo({ center, zoom, duration: 700 });
    else if (found || !map.isMoving()) map.jumpTo({ center, zoom });
  }

  private drawStart(): void {
    const start = this.page.log.value ? null : this.page.start.value;
    if (!start) {
      this.startMarker.remove();
      this.set("start", NOTHING);
      return;
    }
    this.startMarker.setLngLat([start.longitude_deg, start.latitude_deg]).addTo(this.map!);
    const radius_m = 2 * start.sigma_m;
    this.set("start", collection(ellipseOutline(start, { major_m: radius_m, minor_m: radius_m, bearing_deg: 0 })));
  }

  private fixAt(point: { x: number; y: number }): number | null {
    const log = this.page.log.peek();
    if (!log || !this.page.layers.peek().track) return null;
    const project = (place: { latitude_deg: number; longitude_deg: number }) =>
      this.map!.project([place.longitude_deg, place.latitude_deg]);
    return nearestFix(log.fixes, point, project, CLICK_PX);
  }

  private clicked(latitude_deg: number, longitude_deg: number, point: { x: number; y: number }): void {
    const { page } = this;
    if (page.picking.value) {
      page.start.value = { latitude_deg, longitude_deg, sigma_m: page.start.value?.sigma_m ?? DEFAULT_SIGMA_M };
      page.picking.value = false;
      return;
    }
    const fix = this.fixAt(point);
    if (fix !== null) page.player.seek(page.log.peek()!.fixes[fix]!.time_s);
  }
}

function closed(corners: Corners) {
  return [...corners, corners[0]].map(([longitude_deg, latitude_deg]) => ({ longitude_deg, latitude_deg }));
}

function collection(feature: FeatureCollection["features"][number]): FeatureCollection {
  return { type: "FeatureCollection", features: [feature] };
}

/** The places that are possible besides a tracked vehicle's, or all of them while there is none. */
function otherPlaces(fix: Fix): Hypothesis[] {
  if (fix.state !== "tracking" || !hasPlace(fix)) return fix.hypotheses;
  const near_m = Math.max(10, 3 * (fix.sigma_m ?? 0));
  return fix.confidence >= SURE ? [] : fix.hypotheses.filter((place) => distance_m(place, fix) > near_m);
}

function element(tag: string, className: string, label = ""): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.setAttribute("role", "img");
  if (label) made.setAttribute("aria-label", label);
  return made;
}

const ARROW = "M0-15 10.5 12 0 6.5-10.5 12Z"; // points north

function vehicleElement(): HTMLElement {
  const vehicle = element("div", "vehicle", "The vehicle");
  vehicle.innerHTML = `<svg viewBox="-18 -18 36 36" width="28" height="28" aria-hidden="true"><path d="${ARROW}"/></svg>`;
  return vehicle;
}

/** The arrow of a place that is possible. */
function arrowImage(): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = ARROW_PX;
  const context = canvas.getContext("2d")!;
  context.translate(ARROW_PX / 2, ARROW_PX / 2);
  context.scale(1.3, 1.3);
  const path = new Path2D(ARROW);
  context.fillStyle = "#ffd166";
  context.strokeStyle = CASING_COLOR;
  context.lineWidth = 2.5;
  context.lineJoin = "round";
  context.stroke(path);
  context.fill(path);
  return context.getImageData(0, 0, ARROW_PX, ARROW_PX);
}
