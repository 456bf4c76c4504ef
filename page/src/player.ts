// The one clock that everything on the page is locked to.

import { batch, computed, signal } from "@preact/signals";

import type { SessionLog } from "./session-log";
import { indexAt } from "./strips";

export const SPEEDS = [0.25, 0.5, 1, 2, 4] as const;
export type Speed = (typeof SPEEDS)[number];

export class Player {
  readonly log = signal<SessionLog | null>(null);
  readonly time_s = signal(0);
  readonly playing = signal(false);
  readonly speed = signal<Speed>(1);
  /** Stays with the newest fix of a session that runs. */
  readonly live = signal(false);

  readonly index = computed(() => {
    const log = this.log.value;
    return log && log.count.value > 0 ? indexAt(log.fixes, this.time_s.value) : -1;
  });
  readonly fix = computed(() => this.log.value?.fixes[this.index.value] ?? null);
  /** Seconds since the session's first fix. */
  readonly since_s = computed(() => {
    const log = this.log.value;
    return log && log.count.value > 0 ? this.time_s.value - log.begin_s : 0;
  });

  private before_ms: number | null = null;
  private frame = 0;

  /** Shows a session: at the given second, or at its end. */
  show(log: SessionLog | null, since_s: number | null): void {
    batch(() => {
      this.playing.value = false;
      this.log.value = log;
      this.live.value = log !== null && log.isLive && since_s === null;
      this.time_s.value = log ? Math.min(log.end_s, since_s === null ? log.end_s : log.begin_s + since_s) : 0;
    });
  }

  /** Called when fixes have joined. */
  grown(): void {
    const log = this.log.peek();
    if (!log || log.fixes.length === 0) return;
    if (this.live.peek() || this.time_s.peek() < log.begin_s) this.time_s.value = log.end_s;
  }

  seek(time_s: number): void {
    const log = this.log.peek();
    if (!log || log.fixes.length === 0) return;
    batch(() => {
      this.live.value = false;
      this.time_s.value = Math.min(log.end_s, Math.max(log.begin_s, time_s));
    });
  }

  skip(by_s: number): void {
    this.seek(this.time_s.peek() + by_s);
  }

  step(by: number): void {
    const log = this.log.peek();
    const target = log?.fixes[Math.min(log.fixes.length - 1, Math.max(0, this.index.peek() + by))];
    if (!target) return;
    this.playing.value = false;
    this.seek(target.time_s);
  }

  toEnd(): void {
    const log = this.log.peek();
    if (!log) return;
    this.seek(log.end_s);
    if (log.isLive) this.goLive();
  }

  goLive(): void {
    batch(() => {
      this.playing.value = false;
      this.live.value = true;
    });
    this.grown();
  }

  toggle(): void {
    if (this.playing.peek()) {
      this.playing.value = false;
      return;
    }
    const log = this.log.peek();
    if (!log || log.fixes.length === 0) return;
    if (this.time_s.peek() >= log.end_s && !log.isLive) this.seek(log.begin_s);
    batch(() => {
      this.live.value = false;
      this.playing.value = true;
    });
    this.before_ms = null;
    cancelAnimationFrame(this.frame); // of a stop just before
    this.frame = requestAnimationFrame(this.tick);
  }

  private readonly tick = (now_ms: number): void => {
    const log = this.log.peek();
    if (!this.playing.peek() || !log) return;
    const passed_s = this.before_ms === null ? 0 : Math.min(0.25, (now_ms - this.before_ms) / 1000);
    this.before_ms = now_ms;
    const time_s = this.time_s.peek() + passed_s * this.speed.peek();
    if (time_s < log.end_s) {
      this.time_s.value = time_s;
    } else {
      this.time_s.value = log.end_s;
      if (log.isLive) this.goLive();
      else this.playing.value = false;
    }
    this.frame = requestAnimationFrame(this.tick);
  };
}
