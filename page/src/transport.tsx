// Play, pause, step, speed; what follows the vehicle; the address of the moment.

import { Icon } from "./icons";
import { clock } from "./format";
import type { Page } from "./page";
import { type Speed, SPEEDS } from "./player";

export function Transport({ page }: { page: Page }) {
  const { player } = page;
  const log = page.log.value;
  const none = !log || log.count.value === 0;
  const playing = player.playing.value;
  const length_s = log ? log.end_s - log.begin_s : 0;
  return (
    <div class="transport" role="group" aria-label="Playback">
      <button class="icon-button" disabled={none} onClick={() => player.step(-1)} title="Step back (←)">
        <Icon name="back" />
        <span class="hidden">Step back</span>
      </button>
      <button class="play" disabled={none} onClick={() => player.toggle()} title="Play or pause (space)">
        <Icon name={playing ? "pause" : "play"} />
        <span class="hidden">{playing ? "Pause" : "Play"}</span>
      </button>
      <button class="icon-button" disabled={none} onClick={() => player.step(1)} title="Step forward (→)">
        <Icon name="forward" />
        <span class="hidden">Step forward</span>
      </button>
      <span class="time">
        <b>{clock(player.since_s.value)}</b> <span>/ {clock(length_s)}</span>
      </span>
      <label class="speed">
        <span class="hidden">Speed</span>
        <select
          value={String(player.speed.value)}
          onChange={(event) => (player.speed.value = Number(event.currentTarget.value) as Speed)}
        >
          {SPEEDS.map((speed) => (
            <option key={speed} value={String(speed)}>
              {speed} ×
            </option>
          ))}
        </select>
      </label>
      {log?.isLive && (
        <button class="live" aria-pressed={player.live.value} onClick={() => player.goLive()} title="Newest fix (End)">
          Live
        </button>
      )}
      <span class="spring" />
      <button
        class="quiet"
        aria-pressed={page.follow.value}
        onClick={() => (page.follow.value = !page.follow.value)}
        title="The map follows the vehicle (F)"
      >
        <Icon name="target" />
        <span class="word">Follow</span>
      </button>
      <button
        class="quiet"
        disabled={none}
        onClick={() => void page.copy(page.address(), "Address of this moment")}
        title="Copy the address of this moment"
      >
        <Icon name="link" />
        <span class="word">Copy link</span>
      </button>
    </div>
  );
}

const EDITABLE = "input, select, textarea, [contenteditable]";
const PRESSED = "button, a, summary, [role='menuitem']"; // which space presses
const PANNED = ".maplibregl-canvas"; // which arrow keys move

/** The keys of the page, wherever the focus is, unless what has the focus uses them itself. */
export function listenToKeys(page: Page): void {
  const { player } = page;
  window.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest(EDITABLE)) return;
    if (event.key === "Escape" && page.picking.value) page.picking.value = false;
    else if (event.key === "?") page.helping.value = !page.helping.value;
    else if (page.helping.value || !page.log.value) return;
    else if (event.key === " " && !target.closest(PRESSED)) player.toggle();
    else if (event.key === "ArrowLeft" && !target.closest(PANNED)) event.shiftKey ? player.skip(-5) : player.step(-1);
    else if (event.key === "ArrowRight" && !target.closest(PANNED)) event.shiftKey ? player.skip(5) : player.step(1);
    else if (event.key === "Home") player.seek(-Infinity);
    else if (event.key === "End") player.toEnd();
    else if (event.key === "f" || event.key === "F") page.follow.value = !page.follow.value;
    else return;
    event.preventDefault();
  });
}
