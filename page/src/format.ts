// Numbers and sentences as people read them.

import type { Fix, Session, State } from "./api";

const WORDS = ["no", "one", "two", "three", "four"];
const SPACE = "\u00a0"; // between a number and its unit, where a line does not break
const MOST_PLACES = 5; // that a fix lists
const STANDS_OUT = 0.1; // the probability from which on a place does
const NOTABLE_OFFSET_DEG = 1;
const COMPASS = ["N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW"];

export const STATE_NAMES: Record<State, string> = { searching: "Searching", tracking: "Tracking", lost: "Lost" };

/** Rounded down, so that no probability below one reads as a hundred per cent. */
export function percent(probability: number): string {
  if (probability > 0.999) return `over 99.9${SPACE}%`;
  if (probability >= 0.99) return `${(Math.floor(probability * 1000 + 1e-9) / 10).toFixed(1)}${SPACE}%`;
  if (probability >= 0.01) return `${Math.floor(probability * 100 + 1e-9)}${SPACE}%`;
  return `under 1${SPACE}%`;
}

export function metres(length_m: number): string {
  if (length_m < 9.95) return `${length_m.toFixed(1)}${SPACE}m`;
  if (length_m < 999.5) return `${length_m.toFixed(0)}${SPACE}m`;
  return `${(length_m / 1000).toFixed(length_m < 9995 ? 2 : 0)}${SPACE}km`;
}

/** Minutes and seconds, to a tenth. */
export function clock(time_s: number): string {
  const tenths = Math.max(0, Math.round(time_s * 10));
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

export function heading(heading_deg: number): string {
  const turned = ((heading_deg % 360) + 360) % 360;
  return `${(Math.round(turned) % 360).toString()}° ${COMPASS[Math.round(turned / 22.5) % 16]}`;
}

/** How a camera looks beside its stated pitch and yaw; null where it looks nearly as stated. */
export function cameraOffset(pitch_deg: number | null, yaw_deg: number | null): string | null {
  const ways = [farther(pitch_deg, "down", "up"), farther(yaw_deg, "left", "right")];
  return ways.filter((way) => way !== null).join(", ") || null;
}

function farther(offset_deg: number | null, positive: string, negative: string): string | null {
  if (offset_deg === null || Math.abs(offset_deg) < NOTABLE_OFFSET_DEG) return null;
  return `${Math.abs(offset_deg).toFixed(1)}° farther ${offset_deg > 0 ? positive : negative}`;
}

/** Seven decimals are a centimetre. */
export function coordinates(latitude_deg: number, longitude_deg: number, decimals = 6): string {
  return `${latitude_deg.toFixed(decimals)}, ${longitude_deg.toFixed(decimals)}`;
}

function places(fix: Fix): string {
  const count = fix.hypotheses.length;
  const likeliest = fix.hypotheses[0];
  if (!likeliest) return "no place stands out yet";
  const share = percent(likeliest.probability);
  if (likeliest.probability < STANDS_OUT) return `no place stands out yet, the likeliest has ${share}`;
  if (count === 1) return `one place stands out, with ${share}`;
  const many = count < MOST_PLACES ? WORDS[count] : "five or more";
  return `${many} places are possible, the likeliest with ${share}`;
}

/** What the tracker knows at a moment, in one plain sentence. */
export function knowledge(fix: Fix): string {
  if (fix.state !== "tracking") return `${STATE_NAMES[fix.state]}: ${places(fix)}.`;
  const radius_m = fix.ellipse?.major_m ?? (fix.sigma_m === null ? null : 2.45 * fix.sigma_m);
  const within = radius_m === null ? "" : `within ${metres(radius_m)}, `;
  return `Tracking: ${within}confidence ${percent(fix.confidence)}.`;
}

/** What is said while there is no fix. */
export function awaiting(session: Session): string {
  if (session.status === "failed") return session.error?.detail ?? "The drive could not be tracked.";
  if (session.status === "waiting") return "Waiting for the first frame.";
  if (session.status === "running") return "Reading the first frames.";
  return "This drive has no fixes.";
}

export function progress(session: Session): string {
  if (session.status === "waiting") return "Waiting";
  if (session.status === "failed") return "Failed";
  if (session.status === "closed") return "Closed";
  if (session.status === "ended") return `${session.fixes} moments`;
  return session.moments_total ? `${session.fixes} of ${session.moments_total}` : `${session.fixes} so far`;
}

/** Date and time of day as the reader writes them. at: in ISO 8601. */
export function dateTime(at: string): string {
  return new Date(at).toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

/** The part of the address after #: a session, and the seconds since its first moment. */
export interface Link {
  session: string | null;
  time_s: number | null;
}

export function parseLink(hash: string): Link {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const time = parts.get("t");
  const time_s = time === null || time.trim() === "" ? NaN : Number(time);
  return { session: parts.get("session") || null, time_s: Number.isFinite(time_s) ? Math.max(0, time_s) : null };
}

export function writeLink(session: string, time_s: number | null): string {
  const id = encodeURIComponent(session);
  return time_s === null ? `#session=${id}` : `#session=${id}&t=${time_s.toFixed(1)}`;
}
