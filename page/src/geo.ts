// Places on the map: ellipses, the track by confidence, the pose between two fixes.

import type { Feature, FeatureCollection, LineString, Polygon, Position } from "geojson";

import type { Ellipse, Fix, Place } from "./api";
import { confidenceClass } from "./colors";
import { indexAt } from "./strips";

const METRES_PER_DEGREE = 111_195; // of latitude; what is drawn is small and needs no ellipsoid

function displaced(center: Place, east_m: number, north_m: number): Position {
  const longitudes = METRES_PER_DEGREE * Math.cos((center.latitude_deg * Math.PI) / 180);
  return [center.longitude_deg + east_m / longitudes, center.latitude_deg + north_m / METRES_PER_DEGREE];
}

/** Metres between two places that are near each other. */
export function distance_m(a: Place, b: Place): number {
  const across = Math.cos((a.latitude_deg * Math.PI) / 180) * (b.longitude_deg - a.longitude_deg);
  return METRES_PER_DEGREE * Math.hypot(across, b.latitude_deg - a.latitude_deg);
}

/** The outline of an ellipse, whose major half axis has the given bearing. */
export function ellipseOutline(center: Place, ellipse: Ellipse, corners = 48): Feature<Polygon> {
  const bearing = (ellipse.bearing_deg * Math.PI) / 180;
  const ring = Array.from({ length: corners + 1 }, (_, i) => {
    const angle = (2 * Math.PI * (i % corners)) / corners;
    const along = ellipse.major_m * Math.cos(angle);
    const across = ellipse.minor_m * Math.sin(angle);
    return displaced(
      center,
      along * Math.sin(bearing) + across * Math.cos(bearing),
      along * Math.cos(bearing) - across * Math.sin(bearing),
    );
  });
  return { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [ring] } };
}

export function hasPlace(fix: Fix): fix is Fix & Place {
  return fix.latitude_deg !== null && fix.longitude_deg !== null;
}

export function line(places: readonly Place[]): Feature<LineString> {
  const coordinates = places.map((place): Position => [place.longitude_deg, place.latitude_deg]);
  return { type: "Feature", properties: {}, geometry: { type: "LineString", coordinates } };
}

/** The tracked way up to a moment: a line for each stretch of one confidence. It ends where tracking ends. */
export function trackLines(fixes: readonly Fix[], end = fixes.length): FeatureCollection<LineString> {
  const features: Feature<LineString>[] = [];
  let stretch: Position[] = [];
  let current = -1;
  const close = () => {
    if (stretch.length > 1) {
      const geometry: LineString = { type: "LineString", coordinates: stretch };
      features.push({ type: "Feature", properties: { confidence: current }, geometry });
    }
  };
  for (const fix of fixes.slice(0, end)) {
    if (fix.state !== "tracking" || !hasPlace(fix)) {
      close();
      stretch = [];
      continue;
    }
    const place: Position = [fix.longitude_deg, fix.latitude_deg];
    const kind = confidenceClass(fix.confidence);
    if (stretch.length && kind !== current) {
      stretch.push(place);
      close();
      stretch = [];
    }
    current = kind;
    stretch.push(place);
  }
  close();
  return { type: "FeatureCollection", features };
}

export interface DrawnPose extends Place {
  heading_deg: number;
}

/** The angle between two headings, the short way round. */
export function turn_deg(from_deg: number, to_deg: number): number {
  return ((((to_deg - from_deg + 180) % 360) + 360) % 360) - 180;
}

/** Where the vehicle is drawn: between the fix of a moment and the next one, while it is tracked at both. */
export function drawnPose(fixes: readonly Fix[], index: number, time_s: number): DrawnPose | null {
  const now = fixes[index];
  if (!now || now.state !== "tracking" || !hasPlace(now)) return null;
  const pose = { latitude_deg: now.latitude_deg, longitude_deg: now.longitude_deg, heading_deg: now.heading_deg ?? 0 };
  const next = fixes[index + 1];
  if (!next || next.state !== "tracking" || !hasPlace(next) || next.time_s <= now.time_s) return pose;
  const share = Math.min(1, Math.max(0, (time_s - now.time_s) / (next.time_s - now.time_s)));
  return {
    latitude_deg: pose.latitude_deg + share * (next.latitude_deg - pose.latitude_deg),
    longitude_deg: pose.longitude_deg + share * (next.longitude_deg - pose.longitude_deg),
    heading_deg: pose.heading_deg + share * turn_deg(pose.heading_deg, next.heading_deg ?? pose.heading_deg),
  };
}

/** The tracked fix that is drawn nearest to a point of the screen, if one is within `most_px` of it. */
export function nearestFix(
  fixes: readonly Fix[],
  point: { x: number; y: number },
  project: (place: Place) => { x: number; y: number },
  most_px: number,
): number | null {
  let nearest: number | null = null;
  let least = most_px;
  fixes.forEach((fix, i) => {
    if (fix.state !== "tracking" || !hasPlace(fix)) return;
    const at = project(fix);
    const away = Math.hypot(at.x - point.x, at.y - point.y);
    if (away <= least) [nearest, least] = [i, away];
  });
  return nearest;
}

/** The places, in their order, less those that are drawn nearer than that to one before them. */
export function apart<T extends Place>(
  places: readonly T[],
  project: (place: T) => { x: number; y: number },
  least_px: number,
): T[] {
  const taken: { x: number; y: number }[] = [];
  return places.filter((place) => {
    const at = project(place);
    if (taken.some((other) => Math.hypot(at.x - other.x, at.y - other.y) < least_px)) return false;
    taken.push(at);
    return true;
  });
}

/** The place at a time, between the two of a line that are around it; null outside of the line's times. */
export function placeAt(places: readonly (Place & { time_s: number })[], time_s: number): Place | null {
  const last = places.length - 1;
  if (last < 0 || time_s < places[0]!.time_s || time_s > places[last]!.time_s) return null;
  const before = indexAt(places, time_s);
  const [a, b] = [places[before]!, places[Math.min(last, before + 1)]!];
  const share = b.time_s > a.time_s ? (time_s - a.time_s) / (b.time_s - a.time_s) : 0;
  return {
    latitude_deg: a.latitude_deg + share * (b.latitude_deg - a.latitude_deg),
    longitude_deg: a.longitude_deg + share * (b.longitude_deg - a.longitude_deg),
  };
}
