// The pictures of the moments: one at a time is loaded of each kind, always the one that is wanted last.

import { signal } from "@preact/signals";

import { type Picture, type PictureKind, getPicture } from "./api";

const KEPT = 48;

export class PictureFeed {
  readonly shown = signal<Picture | null>(null);
  readonly loading = signal(false);
  private session = "";
  private wanted: number | null = null;
  private kept = new Map<number, Picture>();

  constructor(readonly kind: PictureKind) {}

  /** Shows the picture of a moment as soon as it is there; none for null. */
  want(session: string, moment: number | null): void {
    if (session !== this.session) this.forget(session);
    this.wanted = moment;
    if (moment === null) this.shown.value = null;
    else if (!this.loading.peek()) void this.load();
  }

  private forget(session: string): void {
    this.kept.forEach((picture) => URL.revokeObjectURL(picture.url));
    this.kept.clear();
    this.session = session;
    this.shown.value = null;
  }

  private async load(): Promise<void> {
    const { session, wanted } = this;
    if (wanted === null || this.shown.peek()?.moment === wanted) return;
    this.loading.value = true;
    const picture = this.kept.get(wanted) ?? (await getPicture(session, wanted, this.kind).catch(() => null));
    this.loading.value = false;
    if (session !== this.session) {
      if (picture) URL.revokeObjectURL(picture.url);
    } else {
      if (picture) this.keep(picture);
      if (this.wanted !== null) this.shown.value = picture;
    }
    if (this.wanted !== wanted || session !== this.session) void this.load();
  }

  private keep(picture: Picture): void {
    this.kept.delete(picture.moment);
    this.kept.set(picture.moment, picture);
    for (const [moment, old] of this.kept) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(moment);
      URL.revokeObjectURL(old.url);
    }
  }
}
