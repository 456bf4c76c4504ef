// Where a drive is chosen: the example, a drive of the server, a video of one's own, or a session that is there.

import { useComputed, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

import {
  type Drive,
  type Session,
  type Start,
  DEFAULT_SIGMA_M,
  Problem,
  deleteSession,
  getDrives,
  getSessions,
  startDrive,
  upload,
} from "./api";
import { dateTime, progress } from "./format";
import { Icon } from "./icons";
import type { Page } from "./page";

const SESSIONS_MS = 3000;

export function StartPanel({ page }: { page: Page }) {
  const drives = useSignal<Drive[] | null>(null);
  const own = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const busy = useSignal(false);

  useEffect(() => {
    getDrives().then(
      (found) => (drives.value = found),
      (error) => (problem.value = Problem.of(error)),
    );
  }, []);

  const begin = async (drive: string, heading: string | null, start = page.start.value) => {
    busy.value = true;
    problem.value = null;
    try {
      page.open(await startDrive(drive, heading, start));
    } catch (error) {
      problem.value = Problem.of(error);
    } finally {
      busy.value = false;
    }
  };

  const example = drives.value?.find((drive) => drive.example);
  return (
    <div class="start">
      <section class="welcome">
        <h1>Watch a vehicle being found</h1>
        <p>
          A camera, rough odometry and an overhead image. No GPS. The whole map is searched until one place is almost
          certain; from then on the vehicle is tracked.
        </p>
        {example && (
          <button class="primary" disabled={busy.value} onClick={() => void begin(example.name, "unknown", null)}>
            <Icon name="play" /> Run the example
          </button>
        )}
      </section>
      {page.problem.value && <Fault problem={page.problem.value} />}
      {problem.value && <Fault problem={problem.value} />}
      <section class="card" aria-label="A drive of your choice">
        <div class="tabs" role="tablist" aria-label="Where the drive is">
          <Tab id="server" selected={!own.value} select={() => (own.value = false)}>
            On this server
          </Tab>
          <Tab id="own" selected={own.value} select={() => (own.value = true)}>
            Your own video
          </Tab>
        </div>
        <div id="panel-server" role="tabpanel" aria-labelledby="tab-server" hidden={own.value}>
          <DriveForm page={page} drives={drives.value} busy={busy.value} begin={begin} />
        </div>
        <div id="panel-own" role="tabpanel" aria-labelledby="tab-own" hidden={!own.value}>
          <UploadForm page={page} />
        </div>
      </section>
      <SessionList page={page} />
    </div>
  );
}

function Tab(props: { id: string; selected: boolean; select: () => void; children: ComponentChildren }) {
  const other = (event: KeyboardEvent) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const tab = event.currentTarget as HTMLElement;
    const next = (tab.nextElementSibling ?? tab.previousElementSibling) as HTMLElement;
    next.focus();
    next.click();
  };
  return (
    <button
      type="button"
      role="tab"
      id={`tab-${props.id}`}
      aria-selected={props.selected}
      aria-controls={`panel-${props.id}`}
      tabIndex={props.selected ? 0 : -1}
      onClick={props.select}
      onKeyDown={other}
    >
      {props.children}
    </button>
  );
}

export function Fault({ problem }: { problem: Problem }) {
  return (
    <div class="fault" role="alert">
      <b>{problem.message}.</b>
      {problem.remedy && <> What to do: {problem.remedy}.</>}
    </div>
  );
}

function DriveForm(props: {
  page: Page;
  drives: Drive[] | null;
  busy: boolean;
  begin: (drive: string, heading: string | null) => Promise<void>;
}) {
  const { page, drives } = props;
  const chosen = useSignal("");
  const heading = useSignal<string | null>(null);
  const name = chosen.value || drives?.[0]?.name;
  if (drives?.length === 0) {
    return <p class="muted">The server was started without drives. `cvlnet serve MAP --drive FOLDER` adds them.</p>;
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (name) void props.begin(name, heading.value);
      }}
    >
      <fieldset class="drives">
        <legend>Drive</legend>
        <div>
          {drives?.map((drive) => (
            <label key={drive.name}>
              <input
                type="radio"
                name="drive"
                checked={drive.name === name}
                onChange={() => (chosen.value = drive.name)}
              />
              <span class="name" title={drive.name}>
                {drive.name.split("/").pop()}
              </span>
              <span class="muted">
                {drive.frames.toLocaleString("en")} frames{drive.has_truth ? "" : ", no ground truth"}
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      <HeadingField value={heading.value} change={(value) => (heading.value = value)} />
      <StartField page={page} />
      <button class="primary" disabled={props.busy || !name}>
        Track this drive
      </button>
    </form>
  );
}

/** What is known of the heading of the first frame, as the server reads it: "90±20", "unknown", or null: the odometry's. */
function HeadingField({ value, change }: { value: string | null; change: (value: string | null) => void }) {
  const kind = value === null ? "odometry" : value === "unknown" ? "unknown" : "given";
  const [middle, width] = value?.includes("±") ? value.split("±").map(Number) : [0, 20];
  return (
    <fieldset class="field">
      <legend>Heading at the first frame</legend>
      <select
        aria-label="Heading at the first frame"
        value={kind}
        onChange={(event) => {
          const next = event.currentTarget.value;
          change(next === "unknown" ? "unknown" : next === "odometry" ? null : "0±20");
        }}
      >
        <option value="odometry">From the odometry, unless it begins at 0</option>
        <option value="given">Known roughly</option>
        <option value="unknown">Unknown: every heading is tried, which takes longer</option>
      </select>
      {kind === "given" && (
        <span class="numbers">
          <NumberInput
            name="Heading, degrees clockwise from north"
            range={[0, 360]}
            value={middle}
            set={(degrees) => change(`${degrees}±${width}`)}
          />
          ° from north, ±
          <NumberInput
            name="Uncertainty of the heading, degrees"
            range={[1, 180]}
            value={width}
            set={(degrees) => change(`${middle}±${degrees}`)}
          />
          °
        </span>
      )}
    </fieldset>
  );
}

/** The place near which the next drive begins; the page keeps it, for both forms and the map. */
function StartField({ page }: { page: Page }) {
  const near = page.near.value;
  const start = page.start.value;
  const set = (change: Partial<Start>) => {
    page.start.value = { ...page.map.center, sigma_m: DEFAULT_SIGMA_M, ...start, ...change };
  };
  return (
    <fieldset class="field">
      <legend>Start</legend>
      <select
        aria-label="Where the drive begins"
        value={near ? "near" : "anywhere"}
        onChange={(event) => {
          page.near.value = event.currentTarget.value === "near";
          page.picking.value = page.near.value;
          if (!page.near.value) page.start.value = null;
        }}
      >
        <option value="anywhere">Anywhere on the map</option>
        <option value="near">Near a place</option>
      </select>
      {near && (
        <>
          <button
            type="button"
            aria-pressed={page.picking.value}
            onClick={() => (page.picking.value = !page.picking.value)}
          >
            {page.picking.value ? "Click on the map" : "Choose on the map"}
          </button>
          <span class="numbers">
            <NumberInput
              name="Latitude"
              range={[-90, 90]}
              wide
              value={start?.latitude_deg}
              set={(latitude_deg) => set({ latitude_deg })}
            />
            <NumberInput
              name="Longitude"
              range={[-180, 180]}
              wide
              value={start?.longitude_deg}
              set={(longitude_deg) => set({ longitude_deg })}
            />
            ±
            <NumberInput
              name="Standard deviation, metres"
              range={[0.1, 100_000]}
              value={start?.sigma_m ?? DEFAULT_SIGMA_M}
              set={(sigma_m) => set({ sigma_m })}
            />
            m
          </span>
        </>
      )}
    </fieldset>
  );
}

/** A required number; `set` gets each one that is entered. */
function NumberInput(props: {
  name: string;
  range: [least: number, most: number];
  wide?: boolean;
  value: number | undefined;
  set: (value: number) => void;
}) {
  return (
    <input
      type="number"
      step="any"
      min={props.range[0]}
      max={props.range[1]}
      required
      aria-label={props.name}
      placeholder={props.name.split(",")[0]}
      class={props.wide ? "degrees" : ""}
      value={props.value === undefined ? "" : Number(props.value.toFixed(6))}
      onChange={(event) => {
        if (event.currentTarget.value !== "") props.set(event.currentTarget.valueAsNumber);
      }}
    />
  );
}

type FileField = "video" | "camera" | "odometry";
const FILES: { field: FileField; title: string; hint: string; accept: string }[] = [
  { field: "video", title: "Video", hint: "MP4, or a ZIP of pictures", accept: "video/*,.zip,.mkv,.mov,.avi" },
  { field: "camera", title: "Camera", hint: "camera.json", accept: ".json,application/json" },
  { field: "odometry", title: "Odometry", hint: "CSV or TUM", accept: ".csv,.tum,.txt" },
];

function UploadForm({ page }: { page: Page }) {
  const files = useSignal<Partial<Record<FileField, File>>>({});
  const heading = useSignal<string | null>(null);
  const sent = useSignal<number | null>(null);
  const problem = useSignal<Problem | null>(null);
  const cancel = useRef<AbortController | null>(null);
  const missing = useComputed(() => FILES.filter(({ field }) => !files.value[field]).map(({ title }) => title));

  const send = async () => {
    const { video, camera, odometry } = files.value;
    problem.value = null;
    if (!video || !camera || !odometry) {
      const what = missing.value.join(", ").toLowerCase();
      problem.value = new Problem({ detail: `Still missing: ${what}`, remedy: "choose a file for each" });
      return;
    }
    cancel.current = new AbortController();
    sent.value = 0;
    try {
      const told = (share: number) => (sent.value = share);
      const drive = { video, camera, odometry, heading: heading.value, start: page.start.value };
      page.open(await upload(drive, told, cancel.current.signal));
    } catch (error) {
      const cancelled = error instanceof DOMException && error.name === "AbortError";
      if (!cancelled) problem.value = Problem.of(error);
    } finally {
      sent.value = null;
    }
  };

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <p class="muted">A short video, the calibration of its camera, and the odometry of the drive. They are sent to this server only.</p>
      {FILES.map(({ field, title, hint, accept }) => (
        <label class="field file" key={field}>
          <span>
            {title} <span class="muted">{hint}</span>
          </span>
          <input
            type="file"
            name={field}
            accept={accept}
            onChange={(event) => (files.value = { ...files.value, [field]: event.currentTarget.files?.[0] })}
          />
        </label>
      ))}
      <HeadingField value={heading.value} change={(value) => (heading.value = value)} />
      <StartField page={page} />
      {problem.value && <Fault problem={problem.value} />}
      {sent.value === null ? (
        <button class="primary">Upload and track</button>
      ) : (
        <div class="sending">
          <progress value={sent.value} aria-label="Upload" />
          <span>{sent.value < 1 ? `${Math.floor(100 * sent.value)} % sent` : "Sent; the server is checking it"}</span>
          <button type="button" onClick={() => cancel.current?.abort()}>
            Cancel
          </button>
        </div>
      )}
    </form>
  );
}

function SessionList({ page }: { page: Page }) {
  const sessions = useSignal<Session[]>([]);
  const load = () =>
    getSessions().then(
      (found) => (sessions.value = found.toSorted((a, b) => b.created_at.localeCompare(a.created_at))),
      () => undefined, // the list stays as it is until the next attempt
    );
  useEffect(() => {
    void load();
    const timer = window.setInterval(() => void load(), SESSIONS_MS);
    return () => window.clearInterval(timer);
  }, []);
  const remove = async (session: Session) => {
    if (!window.confirm(`Delete ${session.name} of ${dateTime(session.created_at)}, with its track and pictures?`)) return;
    try {
      await deleteSession(session.id);
    } catch (error) {
      page.say(`${Problem.of(error).message}.`);
    }
    await load();
  };
  if (sessions.value.length === 0) return null;
  return (
    <section class="card" aria-labelledby="sessions-title">
      <h2 id="sessions-title">Sessions</h2>
      <ul class="sessions">
        {sessions.value.map((session) => (
          <li key={session.id}>
            <button class="plain" onClick={() => page.open(session)}>
              <span class={`dot ${session.status}`} />
              <span class="about">
                <span class="name">{session.name.split("/").pop()}</span>
                <span class="muted">
                  {dateTime(session.created_at)} · {progress(session)}
                </span>
              </span>
            </button>
            <button class="icon-button" onClick={() => void remove(session)} title="Delete this session">
              <Icon name="trash" />
              <span class="hidden">
                Delete {session.name} of {dateTime(session.created_at)}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
