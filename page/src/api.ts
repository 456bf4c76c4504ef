// The server's JSON interface: its types, and one function for each request.

export type State = "searching" | "tracking" | "lost";
export type Status = "waiting" | "running" | "ended" | "failed" | "closed";
export type PictureKind = "frame" | "projection" | "score" | "belief";
export type LonLat = [longitude_deg: number, latitude_deg: number];
export type Corners = [LonLat, LonLat, LonLat, LonLat]; // north-west, north-east, south-east, south-west

export interface MapInfo {
  name: string;
  center: Place;
  bounds: [west: number, south: number, east: number, north: number];
  corners: Corners;
  km2: number;
  m_per_pixel: number;
  credit: string | null;
  tiles: string;
  min_zoom: number;
  max_zoom: number;
}

export interface Place {
  latitude_deg: number;
  longitude_deg: number;
}

export interface TimedPlace extends Place {
  time_s: number;
}

/** heading_deg: clockwise from true north. */
export interface Hypothesis extends Place {
  heading_deg: number;
  probability: number;
}

/** The ellipse holds the vehicle with 95 %; its axes are half axes, its bearing is that of the major one. */
export interface Ellipse {
  major_m: number;
  minor_m: number;
  bearing_deg: number;
}

export interface Fix {
  moment: number;
  index: number;
  time_s: number;
  state: State;
  latitude_deg: number | null;
  longitude_deg: number | null;
  heading_deg: number | null;
  sigma_m: number | null;
  ellipse: Ellipse | null;
  heading_sigma_deg: number | null;
  confidence: number;
  hypotheses: Hypothesis[];
  score: number | null;
  error_m: number | null;
  speed_mps: number | null;
  pitch_offset_deg: number | null;
  camera_yaw_offset_deg: number | null;
}

export interface Session {
  id: string;
  name: string;
  source: "drive" | "upload" | "api";
  status: Status;
  error?: ProblemDetails | null;
  fixes: number;
  duration_s: number;
  has_truth: boolean;
  heading: string | null;
  created_at: string;
  moments_total?: number | null;
  warnings?: string[];
}

export interface Drive {
  name: string;
  frames: number;
  has_truth: boolean;
  example: boolean;
}

export interface Moment {
  moment: number;
  frame: boolean;
  projection: boolean;
  score: boolean;
  belief: boolean;
}

/** Near which a drive begins, with the standard deviation. */
export interface Start extends Place {
  sigma_m: number;
}

export const DEFAULT_SIGMA_M = 20;

export interface ProblemDetails {
  title?: string;
  detail?: string;
  status?: number;
  where?: string | null;
  remedy?: string | null;
}

/** What went wrong, as the server says it or as the browser does. */
export class Problem extends Error {
  readonly status: number;
  readonly remedy: string | null;

  constructor(details: ProblemDetails, status = details.status ?? 0) {
    const what = details.detail ?? details.title ?? "The server gave no reason";
    super(details.where && !what.includes(details.where) ? `${details.where}: ${what}` : what);
    this.status = status;
    this.remedy = details.remedy ?? null;
  }

  static of(error: unknown): Problem {
    if (error instanceof Problem) return error;
    return new Problem({ detail: "The server cannot be reached", remedy: "check whether `cvlnet serve` is running" });
  }
}

export function problemOf(status: number, body: string): Problem {
  if (status === 401) {
    return new Problem(
      { detail: "This server needs a token", remedy: "open the address that `cvlnet serve` has printed" },
      status,
    );
  }
  try {
    return new Problem(JSON.parse(body) as ProblemDetails, status);
  } catch {
    return new Problem({ detail: `The server answered with status ${status}` }, status);
  }
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw Problem.of(error);
  }
  if (!response.ok) throw problemOf(response.status, await response.text());
  return response;
}

async function get<T>(path: string): Promise<T> {
  return (await request(path, { headers: { Accept: "application/json" } })).json() as Promise<T>;
}

const sessionPath = (id: string) => `/api/sessions/${encodeURIComponent(id)}`;

export const getMap = () => get<MapInfo>("/api/map");
export const getDrives = () => get<Drive[]>("/api/drives");
export const getSessions = () => get<Session[]>("/api/sessions");
export const getSession = (id: string) => get<Session>(sessionPath(id));
export const getMoments = (id: string) => get<Moment[]>(`${sessionPath(id)}/moments`);
export const getTruth = (id: string) => get<TimedPlace[]>(`${sessionPath(id)}/truth`);
export const getOdometry = (id: string) => get<TimedPlace[]>(`${sessionPath(id)}/odometry`);
/** The events after a moment. When the browser reconnects by itself, it continues after the last event that came. */
export const eventsPath = (id: string, after: number) => `${sessionPath(id)}/events?after=${after}`;
export const exportPath = (id: string, format: string) => `${sessionPath(id)}/export/${format}`;

const FIXES_AT_ONCE = 1000;

/** All fixes from a moment on. */
export async function getFixes(id: string, from: number): Promise<Fix[]> {
  const fixes: Fix[] = [];
  for (;;) {
    const after = from + fixes.length - 1;
    const page = await get<Fix[]>(`${sessionPath(id)}/fixes?after=${after}&limit=${FIXES_AT_ONCE}`);
    fixes.push(...page);
    if (page.length < FIXES_AT_ONCE) return fixes;
  }
}

export async function deleteSession(id: string): Promise<void> {
  await request(sessionPath(id), { method: "DELETE" });
}

/** heading: what is known of it, or null for the odometry's. */
export async function startDrive(drive: string, heading: string | null, start: Start | null): Promise<Session> {
  const body = JSON.stringify({ drive, heading, start });
  const headers = { "Content-Type": "application/json" };
  return (await request("/api/sessions", { method: "POST", headers, body })).json() as Promise<Session>;
}

export interface Upload {
  video: File;
  camera: File;
  odometry: File;
  heading: string | null;
  start: Start | null;
}

/** Sends a video; `progress` gets the share that has been sent. By XMLHttpRequest, as fetch does not report progress. */
export function upload(files: Upload, progress: (share: number) => void, signal: AbortSignal): Promise<Session> {
  const form = new FormData();
  if (files.heading) form.append("heading", files.heading);
  if (files.start) form.append("start", JSON.stringify(files.start));
  form.append("camera", files.camera);
  form.append("odometry", files.odometry);
  form.append("video", files.video);
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", "/api/sessions/upload");
    sending.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
    sending.onerror = () => reject(Problem.of(null));
    sending.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    sending.onload = () => {
      if (sending.status === 201) resolve(JSON.parse(sending.responseText) as Session);
      else reject(problemOf(sending.status, sending.responseText));
    };
    signal.addEventListener("abort", () => sending.abort());
    sending.send(form);
  });
}

const EXTENSION: Record<PictureKind, string> = { frame: "jpg", projection: "webp", score: "png", belief: "png" };

/** A picture of a moment. corners: where it lies on the map, if it lies there. */
export interface Picture {
  moment: number;
  url: string; // of the blob
  image: ImageBitmap;
  corners: Corners | null;
}

/** Raises Problem with the status 404 where the moment has no such picture. */
export async function getPicture(id: string, moment: number, kind: PictureKind): Promise<Picture> {
  const response = await request(`${sessionPath(id)}/moments/${moment}/${kind}.${EXTENSION[kind]}`);
  const corners = response.headers.get("X-Corners");
  const blob = await response.blob();
  return {
    moment,
    url: URL.createObjectURL(blob),
    image: await createImageBitmap(blob),
    corners: corners ? (JSON.parse(corners) as Corners) : null,
  };
}
