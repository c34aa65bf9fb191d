// OpenSeadragon, which draws a picture, with the settings of this viewer.

/* global OpenSeadragon */

const LARGE = 640; // pixels of the width from which there is room for an overview

/** Whether nothing shall glide. */
export const CALM = matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Draw the picture `name` that `information` describes into `element`, rotated; return OpenSeadragon's viewer. */
export function draw(element, name, information, degrees) {
  const viewer = OpenSeadragon({
    element,
    tileSources: information,
    crossOriginPolicy: new URL(information.id).origin === location.origin ? false : "Anonymous",
    // Not WebGL, which without a graphics card is slower, and which browsers have few of.
    drawer: "canvas",
    showNavigationControl: false,
    showNavigator: element.clientWidth >= LARGE,
    navigatorPosition: "TOP_RIGHT",
    navigatorSizeRatio: 0.16,
    navigatorRotate: true,
    degrees,
    maxZoomPixelRatio: 4,
    minZoomImageRatio: 0.8,
    visibilityRatio: 0.5,
    animationTime: CALM ? 0 : 0.6,
    timeout: 120_000,
    tileRetryMax: 2,
    tileRetryDelay: 1000,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsPen: { clickToZoom: false, dblClickToZoom: true },
  });
  viewer.canvas.setAttribute("role", "group");
  viewer.canvas.setAttribute("aria-label", `Picture ${name}; arrow keys move it, plus and minus zoom`);
  // Keys are those of the whole page, see main.js.
  for (const event of ["canvas-key", "canvas-key-press"]) {
    viewer.addHandler(event, (pressed) => { pressed.preventDefaultAction = true; });
  }
  return viewer;
}
