// Sounds and films, played by the browser.

/** Put a player for what `subject` is into `element`; call `ready` when it can be played, and `fail` when it cannot. */
export function play(element, subject, ready, fail) {
  const player = document.createElement(subject.player);
  player.controls = true;
  player.preload = "metadata";
  player.setAttribute("aria-label", subject.name);
  player.addEventListener("loadedmetadata", ready);
  player.addEventListener("error", fail);
  player.src = subject.original;
  element.append(player);
}
