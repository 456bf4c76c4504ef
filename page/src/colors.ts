// Colours that mean something. Those on the imagery are the same by day and by night; the others are in style.css.

/** Confidence in four classes, from low to high, as in the KML that is exported. */
export function confidenceClass(confidence: number): 0 | 1 | 2 | 3 {
  return confidence >= 0.99 ? 3 : confidence >= 0.95 ? 2 : confidence >= 0.8 ? 1 : 0;
}

export const CONFIDENCE_NAMES = ["below 80 %", "from 80 %", "from 95 %", "from 99 %"] as const;
export const CONFIDENCE_COLORS = ["#f0553d", "#f7a234", "#f6e05a", "#46b4ff"] as const;
export const TRUTH_COLOR = "#ffffff";
export const ODOMETRY_COLOR = "#d79bff";
export const CASING_COLOR = "#0b1014";
