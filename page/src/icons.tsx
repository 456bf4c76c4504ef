// Small pictures of buttons, on a grid of 24 pixels.

const PATHS = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h4v14H7zM13 5h4v14h-4z",
  back: "M6 5h2.5v14H6zM18 5v14l-8.5-7z",
  forward: "M15.5 5H18v14h-2.5zM6 5v14l8.5-7z",
  target: "M11 2h2v3.1A7 7 0 0 1 18.9 11H22v2h-3.1A7 7 0 0 1 13 18.9V22h-2v-3.1A7 7 0 0 1 5.1 13H2v-2h3.1A7 7 0 0 1 11 5.1zM12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zm0 3a2 2 0 1 1 0 4 2 2 0 0 1 0-4z",
  link: "M10.6 13.4a1 1 0 0 0 1.4 1.4l5-5a3.5 3.5 0 0 0-5-5l-2 2a1 1 0 0 0 1.4 1.4l2-2a1.5 1.5 0 0 1 2.2 2.2zM13.4 10.6a1 1 0 0 0-1.4-1.4l-5 5a3.5 3.5 0 0 0 5 5l2-2a1 1 0 0 0-1.4-1.4l-2 2a1.5 1.5 0 0 1-2.2-2.2z",
  copy: "M8 3h11a2 2 0 0 1 2 2v11h-2V5H8zM5 7h9a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V9c0-1.1.9-2 2-2zm0 2v10h9V9z",
  layers: "M12 3 2 8.5 12 14l10-5.5zm-7.6 8.4L2 12.7l10 5.5 10-5.5-2.4-1.3L12 15.6zm0 4.2L2 16.9l10 5.5 10-5.5-2.4-1.3-7.6 4.2z",
  fit: "M3 3h7v2H5v5H3zm11 0h7v7h-2V5h-5zM3 14h2v5h5v2H3zm16 0h2v7h-7v-2h5z",
  sun: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM11 1h2v3h-2zm0 19h2v3h-2zM1 11h3v2H1zm19 0h3v2h-3zM3.5 5 5 3.5l2.1 2.1-1.5 1.5zm13.4 13.4 1.5-1.5 2.1 2.1-1.5 1.5zM5 20.5 3.5 19l2.1-2.1 1.5 1.5zM18.4 7.1l-1.5-1.5L19 3.5 20.5 5z",
  moon: "M12 3a9 9 0 1 0 9 9.6A7 7 0 0 1 12 3z",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2v14a7 7 0 0 1 0-14z",
  download: "M11 3h2v9l3.5-3.5 1.4 1.4L12 15.8 6.1 9.9l1.4-1.4L11 12zM4 18h16v2H4z",
  list: "M4 5h16v2H4zm0 6h16v2H4zm0 6h16v2H4z",
  trash: "M9 3h6l1 2h4v2H4V5h4zM6 9h12l-1 12H7z",
  close: "m6.4 5 5.6 5.6L17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4-5.6-5.6L6.4 19 5 17.6l5.6-5.6L5 6.4z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
