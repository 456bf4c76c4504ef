// Beside the map: the sentence, the numbers of the fix, the pictures of the moment.

import { useSignal, useSignalEffect } from "@preact/signals";

import type { Fix, PictureKind } from "./api";
import { Icon } from "./icons";
import { awaiting, cameraOffset, coordinates, heading, knowledge, metres, percent } from "./format";
import { hasPlace } from "./geo";
import type { MapView } from "./map-view";
import type { Page } from "./page";

/** What the tracker knows, always in sight. A change of state is read out, not every fix. */
export function Knowledge({ page }: { page: Page }) {
  const spoken = useSignal("");
  const fix = page.player.fix.value;
  const session = page.log.value!.session.value;
  const state = fix?.state ?? (session.status === "failed" ? "lost" : "searching");
  useSignalEffect(() => {
    const log = page.log.value;
    const now = page.player.fix.value;
    if (!log) return;
    const key = now ? now.state : log.session.value.status;
    if (spoken.peek().split("|")[0] !== key) {
      spoken.value = `${key}|${now ? knowledge(now) : awaiting(log.session.value)}`;
    }
  });
  const text = fix ? knowledge(fix) : awaiting(session);
  const colon = text.indexOf(": ");
  return (
    <section class={`knowledge ${state}`} aria-label="What is known">
      <p>
        {fix && colon > 0 ? (
          <>
            <b>{text.slice(0, colon)}</b>
            {text.slice(colon)}
          </>
        ) : (
          text
        )}
      </p>
      {session.status === "failed" && session.error?.remedy && <p class="remedy">What to do: {session.error.remedy}.</p>}
      {fix && session.status === "failed" && <p class="remedy">The drive ended early: {session.error?.detail}.</p>}
      {page.log.value!.connection.value === "retrying" && <p class="remedy">Connection lost; trying again.</p>}
      {page.log.value!.problem.value && <p class="remedy">{page.log.value!.problem.value!.message}.</p>}
      {session.warnings?.map((warning) => (
        <p class="remedy" key={warning}>
          {warning}
        </p>
      ))}
      <p class="hidden" aria-live="polite">
        {spoken.value.split("|")[1]}
      </p>
    </section>
  );
}

export function FixPanel({ page, view }: { page: Page; view: MapView }) {
  const fix = page.player.fix.value;
  const tracked = fix !== null && fix.state === "tracking" && hasPlace(fix);
  return (
    <section class="card" aria-labelledby="fix-title">
      <h2 id="fix-title">{tracked ? "Fix" : "Possible places"}</h2>
      {tracked ? (
        <Tracked page={page} fix={fix} view={view} />
      ) : fix && fix.hypotheses.length > 0 ? (
        <Places fix={fix} view={view} />
      ) : (
        <p class="muted">There is no place to show at this moment.</p>
      )}
    </section>
  );
}

function Tracked({ page, fix, view }: { page: Page; fix: Fix; view: MapView }) {
  const [latitude_deg, longitude_deg] = [fix.latitude_deg!, fix.longitude_deg!];
  const camera = cameraOffset(fix.pitch_offset_deg, fix.camera_yaw_offset_deg);
  return (
    <>
      <div class="coordinates">
        <button class="plain" title="Show on the map" onClick={() => view.flyTo({ latitude_deg, longitude_deg })}>
          {coordinates(latitude_deg, longitude_deg)}
        </button>
        <button
          class="icon-button"
          title="Copy the coordinates"
          onClick={() => void page.copy(coordinates(latitude_deg, longitude_deg, 7), "Coordinates")}
        >
          <Icon name="copy" />
          <span class="hidden">Copy the coordinates</span>
        </button>
      </div>
      <dl>
        {fix.heading_deg !== null && (
          <Row
            name="Heading"
            value={heading(fix.heading_deg)}
            doubt={fix.heading_sigma_deg === null ? null : `± ${fix.heading_sigma_deg.toFixed(1)}°`}
          />
        )}
        {fix.ellipse && (
          <Row
            name="95 % within"
            value={`${fix.ellipse.major_m.toFixed(1)} × ${fix.ellipse.minor_m.toFixed(1)} m`}
            doubt={`σ ${metres(fix.sigma_m ?? 0)}`}
          />
        )}
        <Row name="Confidence" value={percent(fix.confidence)} />
        {fix.speed_mps !== null && <Row name="Speed" value={`${(3.6 * fix.speed_mps).toFixed(0)} km/h`} />}
        {camera !== null && <Row name="Camera" value={camera} doubt="than stated" />}
        {fix.error_m !== null && <Row name="Error" value={metres(fix.error_m)} doubt="from the truth" />}
      </dl>
    </>
  );
}

function Row({ name, value, doubt }: { name: string; value: string; doubt?: string | null }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value} {doubt && <span class="muted">{doubt}</span>}
      </dd>
    </div>
  );
}

function Places({ fix, view }: { fix: Fix; view: MapView }) {
  return (
    <ol class="places">
      {fix.hypotheses.map((place, i) => (
        <li key={i}>
          <button class="plain" onClick={() => view.flyTo(place)} title="Show on the map">
            <span class="bar" style={{ width: `${100 * place.probability}%` }} />
            <span>{coordinates(place.latitude_deg, place.longitude_deg, 5)}</span>
            <span class="muted">{heading(place.heading_deg)}</span>
            <b>{percent(place.probability)}</b>
          </button>
        </li>
      ))}
    </ol>
  );
}

const PICTURES: { kind: PictureKind; title: string; text: string; alt: string }[] = [
  { kind: "frame", title: "Frame", text: "what the camera sees", alt: "Frame of the camera" },
  { kind: "projection", title: "Projection", text: "frames on the ground", alt: "The frames, projected onto the ground, north up" },
  { kind: "score", title: "Scores", text: "how well places fit", alt: "Scores of the places around the vehicle" },
];

export function Pictures({ page }: { page: Page }) {
  return (
    <section class="pictures" aria-label="Pictures of the moment">
      {PICTURES.map((picture) => (
        <MomentPicture key={picture.kind} page={page} {...picture} />
      ))}
    </section>
  );
}

function MomentPicture({ page, kind, title, text, alt }: { page: Page } & (typeof PICTURES)[number]) {
  const picture = page.pictures[kind].shown.value;
  const earlier = page.takenBefore(kind);
  return (
    <figure class={kind}>
      <figcaption>
        <b>{title}</b> <span class="muted text">{text}</span>
        <span class="when muted">{earlier}</span>
      </figcaption>
      {picture ? (
        <img src={picture.url} alt={`${alt} ${earlier}`.trim()} />
      ) : (
        <div class="no-picture">{page.pictures[kind].loading.value ? "Loading" : "None up to this moment"}</div>
      )}
    </figure>
  );
}
