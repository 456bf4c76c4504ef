// A session as the page knows it: its fixes so far, kept up to date while it runs.

import { batch, signal } from "@preact/signals";

import {
  type Fix,
  type Moment,
  type Session,
  type TimedPlace,
  Problem,
  eventsPath,
  getFixes,
  getMoments,
  getOdometry,
  getSession,
  getTruth,
} from "./api";

const GATHER_MS = 60; // fixes that come together are shown together
const RETRY_MS = [500, 1000, 2000, 5000, 10_000];
const MOMENTS_MS = 1000; // at most this often it is asked which moments have pictures

export class SessionLog {
  readonly session;
  /** Fixes only ever join at the end; `count` says that some did. */
  readonly fixes: Fix[];
  readonly count;
  readonly truth = signal<TimedPlace[]>([]);
  readonly odometry = signal<TimedPlace[]>([]);
  readonly moments = signal<Moment[]>([]);
  readonly connection = signal<"open" | "retrying" | "done">("done");
  readonly problem = signal<Problem | null>(null);

  private events: EventSource | null = null;
  private arrived: Fix[] = [];
  private failures = 0;
  private timers = new Set<number>();
  private momentsAsked = false;
  private momentsStale = false;
  private odometryKnown = false;
  private closed = false;

  private constructor(session: Session, fixes: Fix[]) {
    this.session = signal(session);
    this.fixes = fixes;
    this.count = signal(fixes.length);
  }

  static async open(id: string): Promise<SessionLog> {
    const [session, fixes] = await Promise.all([getSession(id), getFixes(id, 0)]);
    const log = new SessionLog(session, fixes);
    void log.loadTruth();
    void log.loadOdometry();
    void log.loadMoments();
    if (log.isLive) log.listen();
    return log;
  }

  get isLive(): boolean {
    const { status } = this.session.value;
    return status === "waiting" || status === "running";
  }

  get begin_s(): number {
    return this.fixes[0]?.time_s ?? 0;
  }

  get end_s(): number {
    return this.fixes[this.fixes.length - 1]?.time_s ?? 0;
  }

  close(): void {
    this.closed = true;
    this.events?.close();
    this.timers.forEach((timer) => window.clearTimeout(timer));
  }

  private after(delay_ms: number, run: () => void): void {
    const timer = window.setTimeout(() => {
      this.timers.delete(timer);
      if (!this.closed) run();
    }, delay_ms);
    this.timers.add(timer);
  }

  private listen(): void {
    const events = new EventSource(eventsPath(this.session.value.id, this.fixes.length - 1));
    this.events = events;
    events.onopen = () => {
      this.failures = 0;
      this.connection.value = "open";
    };
    events.addEventListener("fix", (event) => this.receive(JSON.parse(event.data as string) as Fix));
    events.addEventListener("status", (event) => this.update(JSON.parse(event.data as string) as Session));
    events.onerror = () => {
      if (this.closed || !this.isLive) return;
      this.connection.value = "retrying";
      if (events.readyState === EventSource.CLOSED) this.retry(); // otherwise the browser tries again by itself
    };
  }

  /** The server has refused the events, or is gone: ask what has become of the session, then listen again. */
  private retry(): void {
    this.events?.close();
    const delay_ms = RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)]!;
    this.after(delay_ms, async () => {
      try {
        this.update(await getSession(this.session.value.id));
        if (this.isLive) this.listen();
      } catch (error) {
        const problem = Problem.of(error);
        if (problem.status === 404 || problem.status === 401) this.problem.value = problem;
        else this.retry();
      }
    });
  }

  private receive(fix: Fix): void {
    if (this.arrived.length === 0) this.after(GATHER_MS, () => void this.take());
    this.arrived.push(fix);
  }

  /** Joins what has arrived. Fixes that are there already are passed over; those that were missed are fetched. */
  private async take(): Promise<void> {
    let arrived = this.arrived;
    this.arrived = [];
    const newest = arrived[arrived.length - 1];
    if (!newest || newest.moment < this.fixes.length) return;
    const next = arrived.findIndex((fix) => fix.moment === this.fixes.length);
    arrived = next >= 0 ? arrived.slice(next) : await this.missed();
    const measured = arrived.some((fix) => fix.score !== null) || this.moments.value.length === 0;
    for (const fix of arrived) if (fix.moment === this.fixes.length) this.fixes.push(fix);
    this.count.value = this.fixes.length;
    if (measured) this.askMoments();
    if (!this.odometryKnown && arrived.some((fix) => fix.state === "tracking")) void this.loadOdometry();
  }

  private async missed(): Promise<Fix[]> {
    try {
      return await getFixes(this.session.value.id, this.fixes.length);
    } catch {
      return []; // the connection is gone, too, and is being opened again
    }
  }

  private update(session: Session): void {
    batch(() => {
      this.session.value = session;
      if (this.isLive) return;
      this.events?.close();
      this.connection.value = "done";
    });
    if (!this.isLive) void this.complete();
    else if (this.truth.value.length === 0) void this.loadTruth(); // a drive's is known from its first step on
  }

  /** What a session has at its end: the last fixes, and what could not be known before. */
  private async complete(): Promise<void> {
    await this.take();
    for (const fix of await this.missed()) if (fix.moment === this.fixes.length) this.fixes.push(fix);
    this.count.value = this.fixes.length;
    await Promise.all([this.loadMoments(), this.loadOdometry(), this.loadTruth()]);
  }

  private askMoments(): void {
    if (this.momentsAsked) {
      this.momentsStale = true;
      return;
    }
    this.momentsAsked = true;
    void this.loadMoments();
    this.after(MOMENTS_MS, () => {
      this.momentsAsked = false;
      if (this.momentsStale) {
        this.momentsStale = false;
        this.askMoments();
      }
    });
  }

  // What accompanies the fixes. Where it cannot be had, the page shows the fixes without it.

  private async loadMoments(): Promise<void> {
    this.moments.value = await getMoments(this.session.value.id).catch(() => this.moments.value);
  }

  private async loadTruth(): Promise<void> {
    if (!this.session.value.has_truth) return;
    this.truth.value = await getTruth(this.session.value.id).catch(() => this.truth.value);
  }

  private async loadOdometry(): Promise<void> {
    this.odometry.value = await getOdometry(this.session.value.id).catch(() => this.odometry.value);
    this.odometryKnown = this.odometry.value.length > 0;
  }
}
