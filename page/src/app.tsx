// The page's frame: the bar on top, the map with what lies on it, the panels.

import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";

import { exportPath } from "./api";
import { FixPanel, Knowledge, Pictures } from "./details";
import { progress } from "./format";
import { Icon } from "./icons";
import { LayersPanel } from "./layers";
import { MapView } from "./map-view";
import type { Page, Theme } from "./page";
import { StartPanel } from "./start";
import { Timeline } from "./timeline";
import { Transport } from "./transport";

export function App({ page }: { page: Page }) {
  const container = useMemo(() => {
    const made = document.createElement("div");
    made.className = "map-canvas";
    return made;
  }, []);
  const place = useRef<HTMLDivElement>(null);
  const view = useSignal<MapView | null>(null);
  useEffect(() => {
    place.current!.prepend(container);
    view.value = new MapView(page, container);
  }, []);

  const log = page.log.value;
  return (
    <div class={log ? "page with-session" : "page"}>
      <Bar page={page} />
      <main>
        <div class="map" ref={place}>
          {view.value?.failure.value && <p class="no-map">{view.value.failure.value}</p>}
          {view.value && !view.value.failure.value && <LayersPanel page={page} view={view.value} />}
          {page.picking.value && <p class="picking">Click where the drive begins. Esc cancels.</p>}
          <Credit text={page.map.credit} />
        </div>
        {log && (
          <div class="time-panel">
            <Transport page={page} />
            <Timeline page={page} />
          </div>
        )}
        <div class="side" tabIndex={-1}>
          {log && <Knowledge page={page} />}
          {log && view.value && <FixPanel page={page} view={view.value} />}
          {log && <Pictures page={page} />}
          {!log && page.opening.value && <p class="muted">Opening the session.</p>}
          {!log && !page.opening.value && <StartPanel page={page} />}
        </div>
      </main>
      <p class={page.notice.value ? "notice" : "notice hidden"} role="status">
        {page.notice.value}
      </p>
      {page.helping.value && <Help close={() => (page.helping.value = false)} />}
    </div>
  );
}

function Credit({ text }: { text: string | null }) {
  return <p class="credit">{text ? `Imagery: ${text}` : "The imagery states no credit"}</p>;
}

const THEMES: Record<Theme, { next: Theme; name: string; icon: "auto" | "sun" | "moon" }> = {
  auto: { next: "light", name: "as the system has it", icon: "auto" },
  light: { next: "dark", name: "light", icon: "sun" },
  dark: { next: "auto", name: "dark", icon: "moon" },
};

function Bar({ page }: { page: Page }) {
  const log = page.log.value;
  const session = log?.session.value;
  const theme = THEMES[page.theme.value];
  return (
    <header class="top">
      <a class="brand" href="#" aria-label="CVLNet: choose a drive">
        <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
          <path d="M16 4 26 27 16 22 6 27Z" />
        </svg>
        <span>CVLNet</span>
      </a>
      <span class="place" title={`${page.map.km2.toFixed(2)} km²`}>
        {page.map.name}
      </span>
      {session && (
        <span class={`session ${session.status}`}>
          <span class={`dot ${session.status}`} />
          <span class="name" title={session.name}>
            {session.name.split("/").pop()}
          </span>
          <span class="muted">{progress(session)}</span>
          {session.status === "running" && session.moments_total ? (
            <progress value={session.fixes} max={session.moments_total} aria-label="Tracked so far" />
          ) : null}
        </span>
      )}
      <span class="spring" />
      {session && (
        <button class="quiet" onClick={() => page.home()}>
          <Icon name="list" />
          <span class="word">Drives</span>
        </button>
      )}
      {session && <ExportMenu id={session.id} disabled={!log || log.count.value === 0} />}
      <button
        class="icon-button"
        onClick={() => (page.theme.value = theme.next)}
        title={`Colours: ${theme.name}. Change to ${THEMES[theme.next].name}.`}
      >
        <Icon name={theme.icon} />
        <span class="hidden">Colours: {theme.name}</span>
      </button>
      <button class="icon-button" onClick={() => (page.helping.value = true)} title="Keys and help (?)">
        <span aria-hidden="true">?</span>
        <span class="hidden">Help</span>
      </button>
    </header>
  );
}

const FORMATS = [
  ["geojson", "GeoJSON", "maps, GIS"],
  ["gpx", "GPX", "navigation"],
  ["kml", "KML", "Google Earth"],
  ["csv", "CSV", "tables"],
  ["tum", "TUM", "evaluation"],
  ["nmea", "NMEA", "as a receiver"],
  ["json", "JSON", "programs"],
] as const;

function ExportMenu({ id, disabled }: { id: string; disabled: boolean }) {
  const open = useSignal(false);
  const button = useRef<HTMLButtonElement>(null);
  const close = () => {
    open.value = false;
    button.current?.focus();
  };
  return (
    <div
      class="menu"
      onKeyDown={(event) => {
        if (event.key === "Escape" && open.value) close();
      }}
      onFocusOut={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) open.value = false;
      }}
    >
      <button
        ref={button}
        class="quiet"
        disabled={disabled}
        aria-expanded={open.value}
        aria-controls="export"
        onClick={() => (open.value = !open.value)}
      >
        <Icon name="download" />
        <span class="word">Export</span>
      </button>
      <ul id="export" hidden={!open.value}>
        {FORMATS.map(([format, name, use]) => (
          <li key={format}>
            <a href={exportPath(id, format)} download onClick={() => (open.value = false)}>
              <b>{name}</b> <span class="muted">{use}</span>
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}

const KEYS = [
  ["Space", "Play or pause"],
  ["← →", "One moment back or forward"],
  ["Shift ← →", "Five seconds back or forward"],
  ["Home, End", "First moment; newest moment"],
  ["F", "Switch whether the map follows the vehicle"],
  ["?", "Show this help"],
] as const;

function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current!.showModal(), []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby="help-title"
      onClose={close}
      onClick={(event) => {
        if (event.target === dialog.current) close();
      }}
    >
      <div>
        <h2 id="help-title">Keys</h2>
        <dl class="keys">
          {KEYS.map(([key, use]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{use}</dd>
            </div>
          ))}
        </dl>
        <p class="muted">
          On the map, the arrow keys move it, and + and − zoom. Click the track or the timeline to show that moment. The
          address always contains the moment that is shown.
        </p>
        <h2>On the map</h2>
        <p class="muted">
          The blue arrow is the tracked vehicle, inside the ellipse that contains it with a probability of 95 %. Yellow
          arrows are the possible places during the search, with their probabilities. The belief is the probability of
          every place of the map. The scores show how well the newest frames fit each place around the vehicle, and the
          projection shows these frames on the ground.
        </p>
        <button class="primary" onClick={close}>
          Close
        </button>
      </div>
    </dialog>
  );
}
