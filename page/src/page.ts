// What the page is showing. The components draw it and change it.

import { computed, effect, signal, untracked } from "@preact/signals";

import { type MapInfo, type PictureKind, type Session, type Start, Problem } from "./api";
import { clock, parseLink, writeLink } from "./format";
import { PictureFeed } from "./pictures";
import { Player } from "./player";
import { SessionLog } from "./session-log";
import { momentWith } from "./strips";

export const OVERLAYS = ["belief", "score", "projection"] as const;
export type Overlay = (typeof OVERLAYS)[number];
export type Layer = "track" | "others" | "truth" | "odometry" | Overlay;
export type Theme = "auto" | "light" | "dark";

const KINDS: PictureKind[] = ["frame", "projection", "score", "belief"];
const ADDRESS_MS = 400; // at most this often the address follows the clock

function ofKinds<T>(make: (kind: PictureKind) => T): Record<PictureKind, T> {
  return { frame: make("frame"), projection: make("projection"), score: make("score"), belief: make("belief") };
}

/** A signal whose value outlasts the page, if the browser allows it. */
function remembered<T>(key: string, fallback: T) {
  let value = fallback;
  try {
    const stored = localStorage.getItem(`cvlnet.${key}`);
    if (stored !== null) value = JSON.parse(stored) as T;
  } catch {
    // without storage the page begins as it is delivered
  }
  const kept = signal(value);
  effect(() => {
    const text = JSON.stringify(kept.value);
    try {
      localStorage.setItem(`cvlnet.${key}`, text);
    } catch {
      // as above
    }
  });
  return kept;
}

export class Page {
  readonly player = new Player();
  readonly log = this.player.log;
  readonly opening = signal(false);
  readonly problem = signal<Problem | null>(null);
  readonly notice = signal<string | null>(null);
  readonly follow = signal(true);
  readonly helping = signal(false);
  readonly theme = remembered<Theme>("theme", "auto");
  readonly opacity = remembered("opacity", 0.85);
  readonly layers = remembered<Record<Layer, boolean>>("layers", {
    track: true,
    others: true,
    truth: false,
    odometry: false,
    belief: true,
    score: false,
    projection: false,
  });
  readonly layersOpen = remembered("layersOpen", window.matchMedia("(min-width: 800px)").matches);
  /** Where the next drive begins; null: anywhere. `near`: it is to be near a place. `picking`: a click on the map says which. */
  readonly start = signal<Start | null>(null);
  readonly near = signal(false);
  readonly picking = signal(false);
  readonly pictures = ofKinds((kind) => new PictureFeed(kind));

  /** The moment whose picture belongs to the time that is shown. */
  readonly moment = ofKinds((kind) =>
    computed(() => momentWith(this.log.value?.moments.value ?? [], kind, this.player.index.value)),
  );

  private written = { at: 0, timer: 0 };

  constructor(readonly map: MapInfo) {
    effect(() => {
      const log = this.log.value;
      if (log && log.count.value > 0) untracked(() => this.player.grown());
    });
    for (const kind of KINDS) {
      effect(() => {
        const id = this.log.value?.session.value.id;
        const needed = kind !== "belief" || this.layers.value.belief;
        this.pictures[kind].want(id ?? "", id && needed ? this.moment[kind].value : null);
      });
    }
    effect(() => {
      const log = this.log.value;
      const since_s = this.player.live.value ? null : this.player.since_s.value;
      if (log && log.count.value > 0) this.writeAddress(log.session.peek().id, since_s);
    });
    effect(() => {
      if (this.theme.value === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = this.theme.value;
    });
    window.addEventListener("hashchange", () => void this.route());
  }

  toggleLayer(layer: Layer): void {
    this.layers.value = { ...this.layers.value, [layer]: !this.layers.value[layer] };
  }

  /** Opens what the address names. */
  async route(): Promise<void> {
    const link = parseLink(location.hash);
    const log = this.log.peek();
    if (link.session === null) this.leave();
    else if (link.session !== log?.session.peek().id) await this.load(link.session, link.time_s);
    else if (link.time_s !== null) this.player.seek(log.begin_s + link.time_s);
  }

  open(session: Session): void {
    location.hash = writeLink(session.id, null); // which routes
  }

  /** Goes back to the choice of drives. */
  home(): void {
    location.hash = "";
  }

  address(): string {
    const log = this.log.peek();
    if (!log) return location.href;
    return new URL(writeLink(log.session.peek().id, this.player.since_s.peek()), location.href).href;
  }

  async copy(text: string, what: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.say(`${what} copied`);
    } catch {
      this.say(`The browser does not let this page copy. ${what}: ${text}`);
    }
  }

  /** When the picture of a kind was taken, if that was before the moment that is shown; or else nothing. */
  takenBefore(kind: PictureKind): string {
    const picture = this.pictures[kind].shown.value;
    const log = this.log.value;
    const taken = picture && log ? log.fixes[picture.moment] : null;
    const isEarlier = picture !== null && picture.moment < this.player.index.value;
    return taken && isEarlier ? `at ${clock(taken.time_s - log!.begin_s)}` : "";
  }

  say(text: string): void {
    this.notice.value = text;
    window.setTimeout(() => {
      if (this.notice.peek() === text) this.notice.value = null;
    }, 4000);
  }

  private leave(): void {
    window.clearTimeout(this.written.timer);
    this.log.peek()?.close();
    this.player.show(null, null);
  }

  private async load(id: string, since_s: number | null): Promise<void> {
    this.leave();
    this.opening.value = true;
    this.problem.value = null;
    try {
      const log = await SessionLog.open(id);
      if (parseLink(location.hash).session === id) this.player.show(log, since_s);
      else log.close();
    } catch (error) {
      const problem = Problem.of(error);
      this.problem.value =
        problem.status === 404
          ? new Problem({ detail: "This session is not on the server", remedy: "choose a drive below" }, 404)
          : problem;
      history.replaceState(null, "", location.pathname + location.search);
    } finally {
      this.opening.value = false;
    }
  }

  /** The address names the moment that is shown, so that a reload and a bookmark come back to it. */
  private writeAddress(id: string, since_s: number | null): void {
    window.clearTimeout(this.written.timer);
    const write = () => {
      this.written.at = performance.now();
      if (parseLink(location.hash).session === id) history.replaceState(null, "", writeLink(id, since_s));
    };
    const wait_ms = this.written.at + ADDRESS_MS - performance.now();
    this.written.timer = window.setTimeout(write, Math.max(0, wait_ms));
  }
}
