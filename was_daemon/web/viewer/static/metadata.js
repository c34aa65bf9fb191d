// The metadata of a file as people read them.

// Where in the file other groups are.
const INTERNAL = new Set(["ExifOffset", "GPSInfo", "InteroperabilityOffset", "SubIFDs"]);
const OPEN = new Set(["Image", "EXIF"]);

/** Put the groups of `getmetadata` into `element`, each with its fields. */
export function showMetadata(element, groups) {
  element.replaceChildren(...groups.map(groupElement));
  if (!groups.length) element.append(paragraph("The file has no metadata."));
}

/** Put a line of text into `element`. */
export function showText(element, text) {
  element.replaceChildren(paragraph(text));
}

/** Put pairs of a name and a value into the list `element`. */
export function showFacts(element, facts) {
  element.replaceChildren(...facts.flatMap(([name, value]) => [textElement("dt", name), textElement("dd", value)]));
}

/** Return a name such as "DateTimeOriginal" in words. */
export function inWords(name) {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2");
}

function groupElement(group) {
  const details = document.createElement("details");
  details.open = OPEN.has(group.Name);
  const list = document.createElement("dl");
  const fields = Object.entries(group.Fields).filter(([name]) => !INTERNAL.has(name));
  showFacts(list, fields.map(([name, value]) => [inWords(name), value]));
  details.append(textElement("summary", group.Name), list);
  return details;
}

function paragraph(text) {
  return textElement("p", text);
}

function textElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
