// Pages with data-refresh are fetched again every so many seconds; without scripts they are as useful, but stand still.

const seconds = Number(document.body.dataset.refresh);

function isInUse(main) {
  const active = document.activeElement;
  return document.hidden || (active && main.contains(active) && active.matches("input, select, textarea, button"));
}

// What is open and what has the focus stays so: both are found again by their number among their like.
function stateOf(main) {
  const open = [...main.querySelectorAll("details")].map((details) => details.open);
  const links = [...main.querySelectorAll("a, summary")];
  return { open, focus: links.indexOf(document.activeElement) };
}

function restore(main, state) {
  [...main.querySelectorAll("details")].forEach((details, index) => (details.open = state.open[index] ?? details.open));
  [...main.querySelectorAll("a, summary")][state.focus]?.focus({ preventScroll: true });
}

async function refresh() {
  const main = document.querySelector("main");
  if (isInUse(main)) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const state = stateOf(main);
    main.replaceChildren(...page.querySelector("main").childNodes);
    restore(main, state);
  } catch {
    // The session has ended, or the server is away for a moment: the page shows what it has.
  }
}

if (seconds > 0) setInterval(refresh, seconds * 1000);
