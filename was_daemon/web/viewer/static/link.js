// Two pictures that move together: each movement of one is repeated by the other, from where it is.

/* global OpenSeadragon */

/** Have both panels follow each other while `isOn()`. */
export function link(panels, isOn) {
  const states = new Map();
  let isFollowing = false;
  const remember = (panel) => states.set(panel, stateOf(panel));
  for (const panel of panels) {
    panel.addEventListener("opened", () => remember(panel));
    panel.addEventListener("moved", () => {
      if (isFollowing || !panel.isShown) return;
      const before = states.get(panel);
      const after = stateOf(panel);
      states.set(panel, after);
      const other = panels.find((each) => each !== panel);
      if (!before || panel.isResizing || !other.isShown || !isOn()) return;
      isFollowing = true;
      const moved = new OpenSeadragon.Point(after.x - before.x, after.y - before.y);
      // On the screen, since the other may be rotated.
      other.follow(moved.times(after.zoom).rotate(panel.rotation), after.zoom / before.zoom);
      remember(other);
      isFollowing = false;
    });
  }
}

// In OpenSeadragon's units the window is 1 / zoom wide.
function stateOf(panel) {
  const { x, y } = panel.viewer.viewport.getCenter(true);
  return { x, y, zoom: panel.viewer.viewport.getZoom(true) };
}
