// The timeline's arithmetic: times and pixels, the fix of a time, many fixes in one pixel.

import type { Fix, Moment, PictureKind } from "./api";

/** The last item whose time is not after the given one; the first item before all of them; -1 if there is none. */
export function indexAt(items: readonly { time_s: number }[], time_s: number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle]!.time_s <= time_s) low = middle + 1;
    else high = middle;
  }
  return Math.min(items.length - 1, Math.max(0, low - 1));
}

/** The newest moment, up to the given one, that has such a picture. */
export function momentWith(moments: readonly Moment[], kind: PictureKind, upTo: number): number | null {
  for (let i = moments.length - 1; i >= 0; i--) {
    const moment = moments[i]!;
    if (moment.moment <= upTo && moment[kind]) return moment.moment;
  }
  return null;
}

/** A stretch of time on a line of pixels. */
export class Scale {
  constructor(
    readonly begin_s: number,
    readonly end_s: number,
    readonly width_px: number,
  ) {}

  x(time_s: number): number {
    const length = this.end_s - this.begin_s;
    return length > 0 ? (this.width_px * (time_s - this.begin_s)) / length : 0;
  }

  time_s(x: number): number {
    const share = this.width_px > 0 ? Math.min(1, Math.max(0, x / this.width_px)) : 0;
    return this.begin_s + share * (this.end_s - this.begin_s);
  }
}

const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600];

/** Round times, in seconds since the beginning, that are at least `apart_px` from each other. */
export function ticks(scale: Scale, apart_px: number): number[] {
  const length = scale.end_s - scale.begin_s;
  if (length <= 0) return [0];
  const least = (apart_px * length) / Math.max(1, scale.width_px);
  const step = STEPS_S.find((candidate) => candidate >= least) ?? Math.ceil(least / 3600) * 3600;
  return Array.from({ length: Math.floor(length / step + 1e-9) + 1 }, (_, i) => i * step);
}

/** The fixes of one column of pixels: [first, last). */
export interface Column {
  x: number;
  first: number;
  last: number;
}

/** Columns of pixels with the fixes in them; a column without any takes the fix before it. */
export function columns(fixes: readonly Fix[], scale: Scale): Column[] {
  const found: Column[] = [];
  let first = 0;
  for (let x = 0; x < scale.width_px; x++) {
    let last = first;
    while (last < fixes.length && (scale.x(fixes[last]!.time_s) < x + 1 || x + 1 >= scale.width_px)) last++;
    found.push(last > first ? { x, first, last } : { x, first: Math.max(0, first - 1), last: Math.max(1, first) });
    first = last;
  }
  return found;
}

/** Where a length lies on a logarithmic scale: 0 at `low` and below, 1 at `high` and above. */
export function logShare(value: number, low: number, high: number): number {
  if (value <= low) return 0;
  return Math.min(1, Math.log(value / low) / Math.log(high / low));
}
