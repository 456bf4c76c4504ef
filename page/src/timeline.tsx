// The strips under the map: state, confidence and error over time. A click or a drag seeks.

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import type { Fix } from "./api";
import { confidenceClass } from "./colors";
import { STATE_NAMES, clock, knowledge, metres, percent } from "./format";
import type { Page } from "./page";
import { Scale, columns, indexAt, logShare, ticks } from "./strips";

const ROWS = { state: [2, 10], confidence: [18, 54], error: [62, 102], axis: [106, 122] } as const;
const HEIGHT_PX = 122;
const ERROR_M = [0.1, 100] as const; // lowest and highest of the logarithmic strip
const ERROR_LINES_M = [1, 10];
const CONFIDENCE_LINE = 0.95;

function confidenceY(confidence: number): number {
  return ROWS.confidence[1] - confidence * (ROWS.confidence[1] - ROWS.confidence[0]);
}

function errorY(length_m: number): number {
  return ROWS.error[1] - logShare(length_m, ...ERROR_M) * (ROWS.error[1] - ROWS.error[0]);
}

export function Timeline({ page }: { page: Page }) {
  const { player } = page;
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useSignal(0);
  const look = useSignal(0); // of the colours, which change with the theme
  const hovered = useSignal<number | null>(null);

  const scale = useComputed(() => {
    const log = page.log.value;
    void log?.count.value;
    return new Scale(log?.begin_s ?? 0, log?.end_s ?? 0, width.value);
  });
  const hasErrors = useComputed(() => page.log.value?.session.value.has_truth ?? false);

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => (width.value = Math.floor(entry!.contentRect.width)));
    observer.observe(box.current!);
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const relook = () => look.value++;
    dark.addEventListener("change", relook);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", relook);
    };
  }, []);

  useSignalEffect(() => {
    void look.value;
    void page.theme.value;
    const fixes = page.log.value && page.log.value.count.value > 0 ? page.log.value.fixes : [];
    const [at, errors] = [scale.value, hasErrors.value];
    const frame = requestAnimationFrame(() => draw(canvas.current!, fixes, at, errors));
    return () => cancelAnimationFrame(frame);
  });

  const timeOf = (event: PointerEvent) => scale.value.time_s(event.clientX - box.current!.getBoundingClientRect().left);
  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    player.seek(timeOf(event));
  };
  const move = (event: PointerEvent) => {
    hovered.value = timeOf(event);
    if ((event.currentTarget as HTMLElement).hasPointerCapture(event.pointerId)) player.seek(hovered.value);
  };

  const log = page.log.value;
  const fix = player.fix.value;
  return (
    <div class="timeline">
      <div class="strip-names" aria-hidden="true">
        <span style={{ top: "-3px" }}>State</span>
        <span style={{ top: "28px" }}>Confidence</span>
        <span style={{ top: "66px" }}>
          {hasErrors.value ? "Error" : "95 % within"}
          <br />
          <small>{hasErrors.value ? "line: 95 %" : "logarithmic"}</small>
        </span>
      </div>
      <div
        ref={box}
        class="strips"
        role="slider"
        tabIndex={0}
        aria-label="Time in the drive"
        aria-valuemin={0}
        aria-valuemax={log ? Math.round((log.end_s - log.begin_s) * 10) / 10 : 0}
        aria-valuenow={Math.round(player.since_s.value * 10) / 10}
        aria-valuetext={fix ? `${clock(player.since_s.value)}. ${knowledge(fix)}` : "No fix yet"}
        onPointerDown={down}
        onPointerMove={move}
        onPointerLeave={() => (hovered.value = null)}
      >
        <canvas ref={canvas} height={HEIGHT_PX} />
        {fix && <div class="playhead" style={{ transform: `translateX(${scale.value.x(player.time_s.value)}px)` }} />}
        {hovered.value !== null && log && <Hover fixes={log.fixes} time_s={hovered.value} scale={scale.value} />}
      </div>
      <div class="strip-levels" aria-hidden="true">
        <span style={{ top: `${confidenceY(CONFIDENCE_LINE)}px` }}>95 %</span>
        {ERROR_LINES_M.map((length_m) => (
          <span key={length_m} style={{ top: `${errorY(length_m)}px` }}>
            {length_m} m
          </span>
        ))}
      </div>
    </div>
  );
}

function Hover({ fixes, time_s, scale }: { fixes: Fix[]; time_s: number; scale: Scale }) {
  const fix = fixes[indexAt(fixes, time_s)];
  if (!fix) return null;
  const x = scale.x(time_s);
  const error = fix.error_m !== null && fix.state === "tracking" ? ` · error ${metres(fix.error_m)}` : "";
  return (
    <>
      <div class="hover-line" style={{ transform: `translateX(${x}px)` }} />
      <div class={`hover-text ${x > scale.width_px / 2 ? "left" : ""}`} style={{ transform: `translateX(${x}px)` }}>
        <span>
          {clock(time_s - scale.begin_s)} · {STATE_NAMES[fix.state]} · {percent(fix.confidence)}
          {error}
        </span>
      </div>
    </>
  );
}

/** The values of the colours in style.css, under the theme of an element. */
function colorsOf(element: HTMLElement): (name: string) => string {
  const known = new Map<string, string>();
  return (name) => {
    if (!known.has(name)) {
      element.style.color = `var(${name})`;
      known.set(name, getComputedStyle(element).color);
    }
    return known.get(name)!;
  };
}

function draw(canvas: HTMLCanvasElement, fixes: readonly Fix[], scale: Scale, hasErrors: boolean): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = scale.width_px * ratio;
  canvas.height = HEIGHT_PX * ratio;
  canvas.style.width = `${scale.width_px}px`;
  canvas.style.height = `${HEIGHT_PX}px`;
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  const color = colorsOf(canvas);
  /** A column of an area, faint, with its edge. */
  const area = (x: number, y: number, bottom: number) => {
    context.globalAlpha = 0.35;
    context.fillRect(x, y, 1.02, bottom - y);
    context.globalAlpha = 1;
    context.fillRect(x, Math.min(y, bottom - 2), 1.02, 2);
  };

  context.fillStyle = color("--strip");
  for (const [top, bottom] of [ROWS.state, ROWS.confidence, ROWS.error]) {
    context.fillRect(0, top, scale.width_px, bottom - top);
  }

  const pixels = fixes.length > 0 ? columns(fixes, scale) : [];
  for (const { x, first, last } of pixels) {
    const here = fixes.slice(first, last);
    const worst = here.find((fix) => fix.state === "lost") ?? here.find((fix) => fix.state === "searching") ?? here[0]!;
    context.fillStyle = color(`--${worst.state}`);
    context.fillRect(x, ROWS.state[0], 1.02, ROWS.state[1] - ROWS.state[0]);

    const least = Math.min(...here.map((fix) => fix.confidence));
    context.fillStyle = color(`--confidence-${confidenceClass(least)}`);
    if (least > 0) area(x, confidenceY(least), ROWS.confidence[1]);

    const tracked = here.filter((fix) => fix.state === "tracking");
    const errors = tracked.flatMap((fix) => (fix.error_m === null ? [] : [fix.error_m]));
    const doubts = tracked.flatMap((fix) => (fix.ellipse === null ? [] : [fix.ellipse.major_m]));
    context.fillStyle = color("--accent");
    if (hasErrors && errors.length) area(x, errorY(Math.max(...errors)), ROWS.error[1]);
    if (!hasErrors && doubts.length) area(x, errorY(Math.max(...doubts)), ROWS.error[1]);
    context.fillStyle = color("--ink");
    if (hasErrors && doubts.length) context.fillRect(x, errorY(Math.max(...doubts)) - 0.5, 1.02, 1);
  }

  context.font = "11px system-ui, sans-serif";
  context.fillStyle = color("--strip-line");
  for (const y of [confidenceY(CONFIDENCE_LINE), ...ERROR_LINES_M.map(errorY)]) {
    context.fillRect(0, Math.round(y), scale.width_px, 1);
  }

  context.textBaseline = "middle";
  for (const since_s of ticks(scale, 84)) {
    const x = scale.x(scale.begin_s + since_s);
    context.fillStyle = color("--ink-3");
    context.fillRect(Math.min(x, scale.width_px - 1), ROWS.axis[0] - 2, 1, 5);
    context.fillStyle = color("--ink-2");
    context.textAlign = x < 20 ? "left" : x > scale.width_px - 24 ? "right" : "center";
    context.fillText(clock(since_s).replace(/\.0$/, ""), x, ROWS.axis[1] - 5);
  }
}
