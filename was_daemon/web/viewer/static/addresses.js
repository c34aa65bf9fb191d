// Addresses of the viewer's page, of pictures and of their parts: pure functions.

/** The fields that name a picture and one of its pages; those of the second picture end with 2. */
const FIELDS = ["filename", "coll", "token", "page"];

/**
 * Return { filename, coll, token, page } of what a person entered: the name of an attachment, or an address that names one.
 * Return null for an address of another server, or one that names none.
 */
export function enteredAsset(text, collection, page) {
  const entered = text.trim();
  if (!/^https?:\/\//i.test(entered)) return entered ? { filename: entered, coll: collection, token: "", page: "" } : null;
  let address;
  try {
    address = new URL(entered);
  } catch {
    return null;
  }
  const fields = address.searchParams;
  if (address.origin !== new URL(page).origin || !fields.get("filename")) return null;
  return Object.fromEntries(FIELDS.map((field) => [field, fields.get(field) ?? ""]));
}

/** Return the address of the page that shows `asset` beside the first picture of `page`. */
export function pageWithSecond(page, asset) {
  const address = new URL(pageWithout(page, "2"));
  for (const [field, value] of Object.entries(asset)) {
    if (value) address.searchParams.set(`${field}2`, value);
  }
  return address.href;
}

/** Return the address of the page without one of its two pictures: the one whose fields have `suffix`. */
export function pageWithout(page, suffix) {
  const address = new URL(page);
  for (const field of FIELDS) {
    const second = address.searchParams.get(`${field}2`);
    address.searchParams.delete(`${field}2`);
    if (suffix) continue;
    address.searchParams.delete(field);
    if (second) address.searchParams.set(field, second);
  }
  return address.href;
}

/** Return the address by the Image API of a page of a picture, absolute. */
export function imageAddress(image, number, page) {
  return new URL(image.replace("{page}", number > 1 ? `;${number}` : ""), page).href;
}

/** Return the number of pages that the header `Link` of info.json tells; 1 without it. */
export function pagesIn(link) {
  const last = /<([^>]*)>\s*;\s*rel="?last"?/.exec(link ?? "");
  const number = last && /;([0-9]{1,4})(?=[;/]|$)/.exec(decodeURIComponent(last[1]));
  return number ? Number(number[1]) : 1;
}

/** Return the box of whole pixels, within a picture, around points in its pixels; null outside of it. */
export function boxAround(points, width, height) {
  const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
  const left = Math.max(0, Math.floor(Math.min(...xs)));
  const upper = Math.max(0, Math.floor(Math.min(...ys)));
  const right = Math.min(width, Math.ceil(Math.max(...xs)));
  const lower = Math.min(height, Math.ceil(Math.max(...ys)));
  return left < right && upper < lower ? { x: left, y: upper, width: right - left, height: lower - upper } : null;
}

/** Return the address of a part of a picture, in the largest size that the server allows, and a name for the file. */
export function partAddress(address, name, box, rotation) {
  const region = `${box.x},${box.y},${box.width},${box.height}`;
  const stem = name.replace(/\.[^.]*$/, "");
  return { address: `${address}/${region}/max/${rotation}/default.jpg`, filename: `${stem} ${region}.jpg` };
}
