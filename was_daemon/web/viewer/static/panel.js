// One picture: its tiles, pages and scale, and what is said where it cannot be shown.

import { boxAround, imageAddress, pagesIn, partAddress } from "./addresses.js";
import { CALM, draw } from "./drawing.js";
import { factsOn } from "./facts.js";
import { ask, save } from "./network.js";
import { PageForm } from "./pages.js";
import { play } from "./player.js";
import { mayPass, problemText, REPLACED } from "./problems.js";
import { pixelsPerMillimetre, roundLength } from "./scale.js";

/* global OpenSeadragon */

const PAN = 0.15; // of the width of the window, for each key press
const ZOOM = 1.5;
const SCALE_ROOM = 160;

export class Panel extends EventTarget {
  #showsAll = true;

  /** `subject` is what the server tells of the picture; `page` is the first page to show. */
  constructor(subject, page) {
    super();
    this.subject = subject;
    this.page = page;
    this.pages = 1;
    this.rotation = 0;
    this.information = null;
    this.showsScale = true;
    /** Whether it moves because its size changes, and not because somebody moves it. */
    this.isResizing = false;
    this.element = document.getElementById("picture").content.firstElementChild.cloneNode(true);
    this.element.setAttribute("aria-label", subject.name);
    this.parts = Object.fromEntries(
      ["caption", "view", "loading", "problem", "scale", "pages"].map((name) => [
        name,
        this.element.querySelector(`.${name}`),
      ]),
    );
    this.parts.caption.querySelector("h2").textContent = subject.name;
    this.parts.caption.querySelector("button").addEventListener("click", () => this.#tell("close"));
    this.parts.problem.querySelector("button").addEventListener("click", () => this.show(this.page));
    this.element.addEventListener("focusin", () => this.#tell("active"));
    this.element.addEventListener("pointerdown", () => this.#tell("active"));
    this.pageForm = new PageForm(this.parts.pages, (page) => this.#choosePage(page));
    this.metadata = this.#fetchMetadata();
  }

  /** Show a page of the picture. */
  async show(page) {
    this.page = page;
    this.information = null;
    this.viewer?.destroy();
    this.viewer = null;
    this.parts.view.replaceChildren();
    this.parts.problem.hidden = true;
    this.parts.scale.hidden = true;
    this.#setBusy(true);
    this.pageForm.show(this.page, this.pages);
    if (this.subject.problem) return this.#fail(...this.subject.problem);
    if (this.subject.player) return this.#play();
    this.parts.loading.hidden = false;
    const answer = await ask(`${this.#address()}/info.json`);
    if (this.page !== page) return undefined;
    this.parts.loading.hidden = true;
    if (!answer.ok) return this.#fail(answer.status, answer.text);
    this.pages = Math.max(this.pages, pagesIn(answer.headers.get("Link")));
    this.information = this.#reachable(JSON.parse(answer.text), answer.url);
    this.#open();
    this.pageForm.show(this.page, this.pages);
    this.#tell("shown");
    return undefined;
  }

  get isShown() {
    return Boolean(this.viewer?.world.getItemCount());
  }

  zoom(factor) {
    this.#viewport?.zoomBy(factor).applyConstraints();
  }

  zoomIn() {
    this.zoom(ZOOM);
  }

  zoomOut() {
    this.zoom(1 / ZOOM);
  }

  whole() {
    this.#viewport?.goHome();
  }

  pan(across, down) {
    const viewport = this.#viewport;
    // Along the screen, however the picture is rotated.
    const step = new OpenSeadragon.Point(across * PAN, down * PAN).rotate(-this.rotation);
    viewport?.panBy(step.divide(viewport.getZoom())).applyConstraints();
  }

  rotate(degrees) {
    if (!this.isShown) return;
    this.rotation = (this.rotation + degrees + 360) % 360;
    this.#viewport.setRotation(this.rotation, CALM);
    this.#tell("said", `Rotated by ${this.rotation}°`);
  }

  turnPage(step) {
    const page = Math.min(Math.max(this.page + step, 1), this.pages);
    if (page !== this.page) this.#choosePage(page);
  }

  toggleScale() {
    this.showsScale = !this.showsScale;
    this.#showScale();
  }

  /** Move as another panel has moved: on the screen by `moved` widths of the window, and zoomed by `factor`. */
  follow(moved, factor) {
    if (!this.isShown) return;
    const viewport = this.#viewport;
    viewport.zoomBy(factor, null, true);
    viewport.panBy(moved.divide(viewport.getZoom(true)).rotate(-this.rotation), true);
    this.#showScale();
  }

  /** Return the part of the picture that is visible: a box of its pixels, or null. */
  visibleBox() {
    if (!this.isShown) return null;
    const { clientWidth: width, clientHeight: height } = this.parts.view;
    const corners = [[0, 0], [width, 0], [0, height], [width, height]];
    const item = this.viewer.world.getItemAt(0);
    const points = corners.map(([x, y]) => item.viewerElementToImageCoordinates(new OpenSeadragon.Point(x, y)));
    return boxAround(points, this.information.width, this.information.height);
  }

  /** Save the visible part as a file, in the largest size that the server allows. */
  async savePart() {
    const box = this.visibleBox();
    if (!box) return;
    const name = this.pages > 1 ? `${this.subject.name.replace(/\.[^.]*$/, "")} page ${this.page}.jpg` : this.subject.name;
    const { address, filename } = partAddress(this.information.id, name, box, this.rotation);
    this.#tell("said", "Preparing the part…");
    const answer = await ask(address, { read: (response) => response.blob() });
    if (!answer.ok) {
      const { title, text } = problemText(answer.status, answer.text);
      this.#tell("said", `${title}. ${text}`);
      return;
    }
    save(answer.content, filename);
    this.#tell("said", `Saved ${filename}`);
  }

  /** Return what is known of the picture, as pairs of a name and a value. */
  facts() {
    return factsOn(this);
  }

  /** The address of the description of what is shown, for other viewers. */
  get informationAddress() {
    return `${this.#address()}/info.json`;
  }

  get #viewport() {
    return this.isShown ? this.viewer.viewport : null;
  }

  #address() {
    return imageAddress(this.subject.image, this.page, location.href);
  }

  // The server calls itself by its public address, which may be another than the one that this page came from.
  #reachable(information, url) {
    return { ...information, id: new URL(url).origin === location.origin ? this.#address() : information.id };
  }

  #play() {
    this.parts.loading.hidden = true;
    play(this.parts.view, this.subject, () => this.#setBusy(false), () => {
      this.parts.view.replaceChildren();
      // As for other files that are no pictures.
      this.#fail(415);
    });
  }

  #open() {
    this.viewer = draw(this.parts.view, this.subject.name, this.information, this.rotation);
    this.viewer.addHandler("open", () => {
      const item = this.viewer.world.getItemAt(0);
      item.addHandler("fully-loaded-change", (event) => this.#setBusy(!event.fullyLoaded));
      this.#tell("opened");
    });
    this.viewer.addHandler("update-viewport", () => {
      this.#showsAll = isWhole(this.visibleBox(), this.information);
      this.#showScale();
    });
    this.viewer.addHandler("after-resize", () => this.#fit());
    this.viewer.addHandler("viewport-change", () => this.#tell("moved"));
    this.viewer.addOnceHandler("tile-load-failed", () => this.#explainMissingTiles());
  }

  // What was seen whole stays so. OpenSeadragon would keep its size, and cut it off.
  #fit() {
    const { viewer } = this;
    this.isResizing = true;
    if (this.#showsAll) queueMicrotask(() => this.viewer === viewer && viewer.viewport.goHome(true));
    // OpenSeadragon tells of the movement in the next frame.
    requestAnimationFrame(() => requestAnimationFrame(() => { this.isResizing = false; }));
  }

  async #explainMissingTiles() {
    const { page, viewer } = this;
    // The browser may know the description of the picture that was there before.
    const answer = await ask(`${this.#address()}/info.json`, { cache: "no-cache" });
    if (this.page !== page || this.viewer !== viewer) return;
    if (!answer.ok) this.#fail(answer.status, answer.text);
    else if (isOtherPicture(JSON.parse(answer.text), this.information)) this.#fail(REPLACED);
    else viewer.addOnceHandler("tile-load-failed", () => this.#explainMissingTiles());
  }

  #fail(status, reason) {
    const { title, text } = problemText(status, reason);
    const { problem, loading } = this.parts;
    loading.hidden = true;
    this.#setBusy(false);
    problem.querySelector("h2").textContent = title;
    problem.querySelector("p").textContent = text;
    problem.querySelector("button").hidden = !mayPass(status) || Boolean(this.subject.problem);
    const original = problem.querySelector("a");
    original.hidden = !this.subject.original || status === 403 || status === 404;
    if (!original.hidden) original.href = this.subject.original;
    problem.hidden = false;
    this.#tell("failed");
  }

  async #fetchMetadata() {
    if (!this.subject.metadata) return null;
    const answer = await ask(this.subject.metadata);
    if (!answer.ok) return null;
    const groups = JSON.parse(answer.text);
    this.resolution = pixelsPerMillimetre(groups);
    this.#showScale();
    this.#tell("shown");
    return groups;
  }

  #showScale() {
    const { scale } = this.parts;
    // The metadata are those of the first page.
    const isKnown = this.showsScale && this.resolution && this.isShown && this.page === 1;
    scale.hidden = !isKnown;
    if (!isKnown) return;
    const item = this.viewer.world.getItemAt(0);
    const screenPixels = item.viewportToImageZoom(this.viewer.viewport.getZoom(true)) * this.resolution;
    const length = roundLength(screenPixels, Math.min(SCALE_ROOM, this.element.clientWidth / 3));
    scale.hidden = !length;
    if (!length) return;
    scale.style.width = `${length.pixels}px`;
    if (scale.textContent !== length.text) scale.textContent = length.text;
    scale.title = "By the resolution that the file tells";
  }

  #choosePage(page) {
    this.show(page);
    this.#tell("page");
    this.#tell("said", `Page ${page} of ${this.pages}`);
  }

  #setBusy(isBusy) {
    this.element.setAttribute("aria-busy", String(isBusy));
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function isOtherPicture(one, other) {
  return one.width !== other.width || one.height !== other.height;
}

function isWhole(box, { width, height }) {
  return box !== null && box.width === width && box.height === height;
}
