// Lengths in pictures whose file tells their resolution: pure functions.

const MILLIMETRES = { inch: 25.4, centimeter: 10 };
// EXIF has this value for "unknown" (version 2.32, section 4.6.4), and cameras that know nothing write it.
const UNKNOWN_PER_INCH = 72;
const LENGTHS = [1, 2, 5];

/** Return the pixels per millimetre that the metadata of a file tell; null when they do not, or only by default. */
export function pixelsPerMillimetre(groups) {
  const fields = groups.find((group) => group.Name === "Image")?.Fields ?? {};
  const unit = Object.keys(MILLIMETRES).find((name) => String(fields.ResolutionUnit).toLowerCase().endsWith(name));
  const [across, down] = [number(fields.XResolution), number(fields.YResolution ?? fields.XResolution)];
  if (!unit || !(across > 0) || !(down > 0)) return null;
  // One bar cannot measure both directions.
  if (Math.abs(across - down) > 0.01 * across) return null;
  if (unit === "inch" && Math.round(across) === UNKNOWN_PER_INCH) return null;
  return across / MILLIMETRES[unit];
}

function number(value) {
  const [numerator, denominator = "1"] = String(value).split("/");
  return Number(numerator) / Number(denominator);
}

/** Return the longest round length that fits into `room` pixels of the screen: its text, and its pixels. */
export function roundLength(pixelsPerMm, room) {
  const most = room / pixelsPerMm;
  if (!(most > 0) || !Number.isFinite(most)) return null;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = Math.max(...LENGTHS.map((each) => each * power).filter((each) => each <= most * (1 + 1e-9)));
  return { text: lengthInWords(length), pixels: length * pixelsPerMm };
}

function lengthInWords(millimetres) {
  const [size, unit] =
    millimetres >= 1000 ? [1000, "m"] : millimetres >= 10 ? [10, "cm"] : millimetres >= 1 ? [1, "mm"] : [0.001, "µm"];
  return `${Number((millimetres / size).toPrecision(3))} ${unit}`;
}
