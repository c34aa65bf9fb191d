// The page: one picture or two, the tools that act on them, details, and keys.

import { enteredAsset, pageWithSecond, pageWithout } from "./addresses.js";
import { link } from "./link.js";
import { showFacts, showMetadata, showText } from "./metadata.js";
import { Panel } from "./panel.js";

const SAID_MILLISECONDS = 4000;

const byId = (id) => document.getElementById(id);
const buttons = (act) => document.querySelectorAll(`[data-act="${act}"]`);

const subjects = JSON.parse(document.body.dataset.pictures);
const fields = new URL(location.href).searchParams;
export const panels = subjects.map((subject) => new Panel(subject, Number(fields.get(`page${subject.suffix}`)) || 1));
let active = panels[0];
let isLinked = true;
let beforeDetails;
let silence;

const ACTS = {
  zoomIn: () => active.zoomIn(),
  zoomOut: () => active.zoomOut(),
  whole: () => active.whole(),
  rotateLeft: () => active.rotate(-90),
  rotateRight: () => active.rotate(90),
  fullScreen: toggleFullScreen,
  link: toggleLink,
  compare: openComparison,
  cancel: () => byId("compare").close(),
  part: () => active.savePart(),
  details: toggleDetails,
};

const KEYS = {
  "+": ACTS.zoomIn,
  "=": ACTS.zoomIn,
  "-": ACTS.zoomOut,
  _: ACTS.zoomOut,
  0: ACTS.whole,
  Home: ACTS.whole,
  r: ACTS.rotateRight,
  R: ACTS.rotateLeft,
  f: ACTS.fullScreen,
  m: ACTS.link,
  c: ACTS.compare,
  d: ACTS.part,
  i: ACTS.details,
  s: () => active.toggleScale(),
  ArrowLeft: () => active.pan(-1, 0),
  ArrowRight: () => active.pan(1, 0),
  ArrowUp: () => active.pan(0, -1),
  ArrowDown: () => active.pan(0, 1),
  PageUp: () => active.turnPage(-1),
  PageDown: () => active.turnPage(1),
};

function say(text) {
  byId("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { byId("said").textContent = ""; }, SAID_MILLISECONDS);
}

function activate(panel) {
  const isOther = panel !== active;
  active = panel;
  for (const each of panels) each.element.classList.toggle("active", each === panel);
  showTools();
  if (isOther) showDetails();
}

function showTools() {
  const original = byId("original");
  original.hidden = !active.subject.original;
  if (active.subject.original) original.href = active.subject.original;
  for (const act of ["zoomIn", "zoomOut", "whole", "rotateLeft", "rotateRight", "part"]) {
    for (const button of buttons(act)) button.disabled = !active.information;
  }
}

async function showDetails() {
  if (byId("details").hidden) return;
  const panel = active;
  showFacts(byId("facts"), panel.facts());
  const { image, manifest, is_shared: isShared } = panel.subject;
  byId("sharing").hidden = !isShared || (!image && !manifest);
  byId("address").value = image && panel.informationAddress;
  byId("address").parentElement.hidden = !image;
  byId("manifest").value = manifest && new URL(manifest, location.href).href;
  byId("manifest").parentElement.hidden = !manifest;
  showText(byId("metadata"), "The metadata are being read…");
  const groups = await panel.metadata;
  if (panel !== active) return;
  if (groups) showMetadata(byId("metadata"), groups);
  else showText(byId("metadata"), "The metadata of this file cannot be read.");
}

function toggleDetails() {
  const details = byId("details");
  const hadFocus = details.contains(document.activeElement);
  details.hidden = !details.hidden;
  const [opener] = buttons("details");
  opener.setAttribute("aria-expanded", String(!details.hidden));
  if (details.hidden) {
    if (hadFocus) beforeDetails.focus();
    return;
  }
  beforeDetails = document.activeElement === document.body ? opener : document.activeElement;
  details.focus();
  showDetails();
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (document.fullscreenEnabled) document.documentElement.requestFullscreen().catch(() => say("Full screen is not allowed here"));
}

function toggleLink() {
  if (panels.length < 2) return;
  isLinked = !isLinked;
  for (const button of buttons("link")) button.setAttribute("aria-pressed", String(isLinked));
  say(isLinked ? "Both move together" : "Each moves alone");
}

function openComparison() {
  const { collection } = panels[0].subject;
  byId("compare-collection").hidden = !collection;
  byId("other-collection").value = collection ?? "";
  byId("other-problem").textContent = "";
  byId("compare").showModal();
  byId("other").select();
}

function compare(event) {
  event.preventDefault();
  const asset = enteredAsset(byId("other").value, byId("other-collection").value, location.href);
  if (asset) location.assign(pageWithSecond(location.href, asset));
  else byId("other-problem").textContent = "This is no address of a picture on this server.";
}

async function copy(field) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    say("Copied");
  } catch {
    // Browsers let pages copy by https only.
    say("Selected: copy it with Ctrl+C");
  }
}

function onKey(event) {
  const act = KEYS[event.key];
  if (event.target.closest?.("#details")) return onKeyInDetails(event);
  const isElsewhere = !event.target.closest?.(".picture") || event.target.closest("input, audio, video, .pages, .problem, .caption");
  if (!act || isElsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
}

function onKeyInDetails(event) {
  const isText = event.target.closest("input") || event.ctrlKey || event.metaKey || event.altKey;
  if (event.key === "Escape" || (event.key === "i" && !isText)) toggleDetails();
}

function rememberPage(panel) {
  const address = new URL(location.href);
  const field = `page${panel.subject.suffix}`;
  if (panel.page > 1) address.searchParams.set(field, panel.page);
  else address.searchParams.delete(field);
  history.replaceState(null, "", address);
}

// OpenSeadragon adds a style with this attribute unless there is one, which the Content-Security-Policy would report. Its
// rules are in viewer.css. An element without a namespace is none of HTML: it styles nothing, and nothing is reported.
function forestallStyle() {
  const style = document.createElementNS(null, "style");
  style.setAttribute("data-openseadragon-mobile-css", "");
  document.head.append(style);
}

function start() {
  forestallStyle();
  byId("pictures").append(...panels.map((panel) => panel.element));
  byId("tools").hidden = false;
  for (const [act, perform] of Object.entries(ACTS)) {
    for (const button of buttons(act)) button.addEventListener("click", perform);
  }
  for (const button of buttons("fullScreen")) button.hidden = !document.fullscreenEnabled;
  for (const button of buttons("link")) button.hidden = panels.length < 2;
  document.addEventListener("fullscreenchange", () => {
    for (const button of buttons("fullScreen")) button.setAttribute("aria-pressed", String(Boolean(document.fullscreenElement)));
  });
  document.addEventListener("keydown", onKey);
  byId("compare").querySelector("form").addEventListener("submit", compare);
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(byId(button.dataset.copy)));
  }
  for (const panel of panels) {
    panel.addEventListener("active", () => activate(panel));
    panel.addEventListener("said", (event) => say(event.detail));
    panel.addEventListener("close", () => location.assign(pageWithout(location.href, panel.subject.suffix)));
    panel.addEventListener("shown", () => { if (panel === active) { showTools(); showDetails(); } });
    panel.addEventListener("failed", showTools);
    panel.addEventListener("page", () => rememberPage(panel));
    panel.parts.caption.hidden = panels.length < 2;
    panel.show(panel.page);
  }
  panels[0].addEventListener("opened", () => {
    if (document.activeElement === document.body) panels[0].viewer.canvas.focus({ preventScroll: true, focusVisible: false });
  });
  if (panels.length > 1) {
    document.body.classList.add("two");
    link(panels, () => isLinked);
  }
  activate(active);
}

start();
