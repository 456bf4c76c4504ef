// The page's arithmetic and its words, without a browser.

import { describe, expect, it } from "vitest";

import { type Fix, Problem, problemOf } from "./api";
import { confidenceClass } from "./colors";
import { cameraOffset, clock, coordinates, heading, knowledge, metres, parseLink, percent, writeLink } from "./format";
import { apart, distance_m, drawnPose, ellipseOutline, nearestFix, placeAt, trackLines, turn_deg } from "./geo";
import { Scale, columns, indexAt, logShare, momentWith, ticks } from "./strips";

const NBSP = "\u00a0";
const plain = (text: string) => text.replaceAll(NBSP, " ");

function fix(moment: number, changes: Partial<Fix> = {}): Fix {
  return {
    moment,
    index: moment,
    time_s: moment,
    state: "tracking",
    latitude_deg: 49,
    longitude_deg: 8 + moment / 1000,
    heading_deg: 90,
    sigma_m: 1,
    ellipse: { major_m: 3, minor_m: 2, bearing_deg: 0 },
    heading_sigma_deg: 1,
    confidence: 0.995,
    hypotheses: [],
    score: null,
    error_m: null,
    speed_mps: null,
    pitch_offset_deg: null,
    camera_yaw_offset_deg: null,
    ...changes,
  };
}

const guess = (probability: number) => ({ latitude_deg: 49, longitude_deg: 8, heading_deg: 0, probability });

describe("words", () => {
  it.each([
    [1, "over 99.9 %"],
    [0.9991, "over 99.9 %"],
    [0.999, "99.9 %"],
    [0.9989, "99.8 %"],
    [0.9899, "98 %"],
    [0.29, "29 %"],
    [0.01, "1 %"],
    [0.0099, "under 1 %"],
  ])("a probability of %f is %s", (probability, text) => expect(plain(percent(probability))).toBe(text));

  it.each([
    [1.25, "1.3 m"],
    [9.94, "9.9 m"],
    [9.96, "10 m"],
    [999.4, "999 m"],
    [1234, "1.23 km"],
  ])("%f metres are %s", (length_m, text) => expect(plain(metres(length_m))).toBe(text));

  it("times do not round to sixty seconds", () => {
    expect(clock(59.96)).toBe("1:00.0");
    expect(clock(12.34)).toBe("0:12.3");
  });

  it("headings stay below a full turn", () => {
    expect(heading(359.7)).toBe("0° N");
    expect(heading(202)).toBe("202° SSW");
    expect(heading(-90)).toBe("270° W");
  });

  it.each([
    [null, null, null],
    [0.9, -0.9, null],
    [-0.9, 0.9, null],
    [2.64, null, "2.6° farther down"],
    [-1.26, 0.2, "1.3° farther up"],
    [0.2, 1.26, "1.3° farther left"],
    [1.5, -2.0, "1.5° farther down, 2.0° farther right"],
  ])("a pitch of %s and a yaw of %s beside the stated ones", (pitch_deg, yaw_deg, expected) => {
    expect(cameraOffset(pitch_deg, yaw_deg)).toBe(expected);
  });

  it("coordinates have latitude first", () => expect(coordinates(49.0123456, 8.5)).toBe("49.012346, 8.500000"));

  it.each<[Partial<Fix>, string]>([
    [{}, "Tracking: within 3.0 m, confidence 99.5 %."],
    [{ ellipse: null, sigma_m: null }, "Tracking: confidence 99.5 %."],
    [{ state: "searching" }, "Searching: no place stands out yet."],
    [
      { state: "searching", hypotheses: [guess(0.02), guess(0.01)] },
      "Searching: no place stands out yet, the likeliest has 2 %.",
    ],
    [{ state: "searching", hypotheses: [guess(0.7)] }, "Searching: one place stands out, with 70 %."],
    [
      { state: "lost", hypotheses: [guess(0.41), guess(0.3), guess(0.1)] },
      "Lost: three places are possible, the likeliest with 41 %.",
    ],
    [
      { state: "searching", hypotheses: [0.3, 0.2, 0.1, 0.1, 0.1].map(guess) },
      "Searching: five or more places are possible, the likeliest with 30 %.",
    ],
  ])("what is known is said: %#", (changes, text) => expect(plain(knowledge(fix(0, changes)))).toBe(text));

  it("a problem names the place once, and the remedy", () => {
    const problem = problemOf(422, JSON.stringify({ detail: "is no JSON", where: "camera.json", remedy: "write it" }));
    expect(problem.message).toBe("camera.json: is no JSON");
    expect(problem.remedy).toBe("write it");
    expect(problem.status).toBe(422);
    expect(new Problem({ detail: "camera.json is empty", where: "camera.json" }).message).toBe("camera.json is empty");
    expect(problemOf(502, "<html>").message).toBe("The server answered with status 502");
  });
});

describe("addresses", () => {
  it("come back as they were written", () =>
    expect(parseLink(writeLink("a/b c", 12.34))).toEqual({ session: "a/b c", time_s: 12.3 }));
  it.each(["#session=x", "#session=x&t=", "#session=x&t=soon"])("%s has no time", (hash) =>
    expect(parseLink(hash)).toEqual({ session: "x", time_s: null }),
  );
  it("without a session has none", () => expect(parseLink("").session).toBeNull());
});

describe("time", () => {
  const fixes = [0, 1, 2, 3].map((i) => fix(i));

  it.each([
    [-1, 0],
    [0, 0],
    [1.99, 1],
    [2, 2],
    [9, 3],
  ])("at %f s fix %i is shown", (time_s, index) => expect(indexAt(fixes, time_s)).toBe(index));
  it("nothing is shown of nothing", () => expect(indexAt([], 1)).toBe(-1));

  it("pixels and times agree", () => {
    const scale = new Scale(10, 20, 200);
    expect(scale.x(15)).toBe(100);
    expect(scale.time_s(scale.x(13))).toBeCloseTo(13);
    expect(scale.time_s(-5)).toBe(10);
    expect(scale.time_s(500)).toBe(20);
  });

  it("every fix is in exactly one column of its own, and gaps repeat the last", () => {
    const dense = columns(
      Array.from({ length: 100 }, (_, i) => fix(i)),
      new Scale(0, 99, 10),
    );
    expect(dense).toHaveLength(10);
    expect(dense.map(({ first, last }) => last - first).reduce((sum, count) => sum + count)).toBe(100);
    const sparse = columns(fixes, new Scale(0, 3, 9));
    expect(sparse.map(({ first }) => first)).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 3]);
  });

  it("ticks are round and apart", () => {
    expect(ticks(new Scale(0, 100, 500), 84)).toEqual([0, 30, 60, 90]);
    expect(ticks(new Scale(5, 5, 500), 84)).toEqual([0]);
  });

  it("lengths lie on a logarithmic scale", () => {
    expect(logShare(1, 0.1, 10)).toBeCloseTo(0.5);
    expect(logShare(0, 0.1, 10)).toBe(0);
    expect(logShare(99, 0.1, 10)).toBe(1);
  });

  it("the newest earlier picture is taken, of its kind", () => {
    const none = { projection: false, score: false, belief: false };
    const moments = [
      { moment: 2, frame: true, ...none },
      { moment: 5, frame: true, ...none, belief: true },
      { moment: 9, frame: true, ...none },
    ];
    expect(momentWith(moments, "frame", 8)).toBe(5);
    expect(momentWith(moments, "belief", 99)).toBe(5);
    expect(momentWith(moments, "belief", 4)).toBeNull();
  });
});

describe("places", () => {
  it("an ellipse has its longer axis along its bearing", () => {
    const center = { latitude_deg: 60, longitude_deg: 10 };
    const outline = ellipseOutline(center, { major_m: 10, minor_m: 4, bearing_deg: 90 }, 4);
    const away = outline.geometry.coordinates[0]!.map(([longitude_deg, latitude_deg]) =>
      distance_m(center, { longitude_deg: longitude_deg!, latitude_deg: latitude_deg! }),
    );
    expect(away.map((length_m) => Math.round(length_m))).toEqual([10, 4, 10, 4, 10]);
    expect(outline.geometry.coordinates[0]![0]![0]).toBeGreaterThan(10); // east
  });

  it("the track ends where tracking ends, and joins where the confidence changes", () => {
    const confidences = [0.999, 0.999, 0.9, 0.9, 0.999];
    const fixes = confidences.map((confidence, i) => fix(i, { confidence }));
    expect(trackLines(fixes).features.map((line) => [line.properties!.confidence, line.geometry.coordinates.length])).toEqual(
      [
        [3, 3],
        [1, 3],
      ],
    );
    fixes[2] = fix(2, { state: "lost" });
    expect(trackLines(fixes).features.map((line) => line.geometry.coordinates.length)).toEqual([2, 2]);
    expect(trackLines(fixes, 2).features).toHaveLength(1);
  });

  it.each([
    [0.99, 3],
    [0.95, 2],
    [0.8, 1],
    [0.79, 0],
  ])("a confidence of %f is of class %i", (confidence, kind) => expect(confidenceClass(confidence)).toBe(kind));

  it("between two fixes the vehicle turns the short way", () => {
    const fixes = [fix(0, { heading_deg: 350 }), fix(1, { heading_deg: 10 })];
    const pose = drawnPose(fixes, 0, 0.5)!;
    expect(pose).toMatchObject({ latitude_deg: 49, heading_deg: 360 });
    expect(pose.longitude_deg).toBeCloseTo(8.0005, 9);
    expect(turn_deg(10, 350)).toBe(-20);
  });

  it("a vehicle that is not tracked is not drawn, nor carried towards one that is lost", () => {
    expect(drawnPose([fix(0, { state: "searching" })], 0, 0)).toBeNull();
    expect(drawnPose([fix(0), fix(1, { state: "lost" })], 0, 0.5)!.longitude_deg).toBe(8);
  });

  it("a click takes the nearest tracked fix within reach", () => {
    const fixes = [fix(0), fix(1), fix(2, { state: "lost" })];
    const project = (place: { longitude_deg: number }) => ({ x: (place.longitude_deg - 8) * 1e5, y: 0 });
    expect(nearestFix(fixes, { x: 70, y: 0 }, project, 40)).toBe(1);
    expect(nearestFix(fixes, { x: 200, y: 0 }, project, 40)).toBeNull();
  });

  it("of places that are drawn near each other the first one is labelled", () => {
    const places = [0, 10, 50, 60].map((x) => ({ latitude_deg: 0, longitude_deg: x }));
    const labelled = apart(places, (place) => ({ x: place.longitude_deg, y: 0 }), 40);
    expect(labelled.map((place) => place.longitude_deg)).toEqual([0, 50]);
  });

  it("the truth is known within its times only", () => {
    const places = [0, 2].map((time_s) => ({ time_s, latitude_deg: 49, longitude_deg: 8 + time_s }));
    expect(placeAt(places, 1)).toEqual({ latitude_deg: 49, longitude_deg: 9 });
    expect(placeAt(places, 2.1)).toBeNull();
    expect(placeAt([], 0)).toBeNull();
  });
});
