"""The status page at `/` for people with a browser, with numbers that anybody may see."""

from typing import TypeAlias

from was_daemon import __version__
from was_daemon.health.overview import Overview
from was_daemon.model.durations import counted, in_words
from was_daemon.model.mirror import CopyState

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The Content-Security-Policy of the page: nothing but its own style is loaded or run."""

_LONG_LAG = 3600.0
"""Seconds after which a copy that does not follow is shown as a warning."""

Card: TypeAlias = tuple[str, str, str]
"""A word or number, its meaning, and a CSS class."""

_STYLE = """
:root { color-scheme: light dark; --back: #f4f5f2; --card: #fff; --text: #1d2420; --soft: #5b665f; --line: #dfe3dc;
  --good: #1d7a46; --bad: #b3261e; --warn: #8a5a00 }
@media (prefers-color-scheme: dark) { :root { --back: #121614; --card: #1c211e; --text: #e6ebe7; --soft: #9aa69f;
  --line: #2d3530; --good: #5cc98a; --bad: #ff8a80; --warn: #f2b84b } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 44rem; margin: 0 auto; padding: clamp(1rem, 5vw, 4rem) 1rem }
h1 { display: flex; align-items: center; gap: .7rem; margin: 0; font-size: clamp(1.6rem, 6vw, 2.3rem) }
h1::before { content: ""; flex: none; width: .7em; height: .7em; border-radius: 50%; background: var(--good) }
.failing h1::before { background: var(--bad) }
.soft, dt { color: var(--soft) }
dl { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; margin: 2rem 0 }
@media (min-width: 36rem) { dl { grid-template-columns: 1fr 1fr 1fr } }
dl div { padding: .9rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem }
dt { font-size: .9rem }
dd { margin: 0; font-size: 1.35rem; font-weight: 600 }
dd small { display: block; font-size: .85rem; font-weight: 400; color: var(--soft) }
.good { color: var(--good) } .warn { color: var(--warn) } .bad { color: var(--bad) }
a { color: inherit }
"""


def status_page(overview: Overview) -> str:
    """Return the HTML document, which loads nothing else and refreshes itself."""
    heading = "It works!" if overview.is_well else "Something is wrong"
    shown = "\n".join(f"<div><dt>{title}</dt>{_value(*value)}</div>" for title, value in cards(overview).items())
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="30">
<title>{heading} – Asset server</title>
<style>{_STYLE}</style>
<main class="{"well" if overview.is_well else "failing"}">
<h1>{heading}</h1>
<p class="soft">Asset server for Specify, was_daemon {__version__}, {_running(overview)}.</p>
<dl>
{shown}
</dl>
<p>Enter the address of <a href="web_asset_store.xml">web_asset_store.xml</a> in Specify.</p>
<p class="soft">What is wrong, if anything, is in the server's log.</p>
</main>
</html>
"""


def cards(overview: Overview) -> dict[str, Card]:
    """Return the cards of the page by title."""
    errors, failed = overview.errors, overview.failed_requests
    originals = {} if overview.are_originals_faulty is None else {"Originals": _originals(overview)}
    copies = {} if overview.copies is None else {"Copies": _copies(overview.copies)}
    return {
        "Stores": _stores(overview),
        **originals,
        **copies,
        "Disk space": ("low", "uploads are refused", "bad") if overview.is_space_low else ("ok", "enough left", "good"),
        "Thumbnails": ("failing", "workers cannot run", "bad")
        if overview.are_workers_failing
        else ("ok", f"{overview.running} being made", "good"),
        "Queue": (str(overview.waiting), f"waiting, {overview.background} in the background", ""),
        "Failed requests": (str(failed), "in the last hour", "warn" if failed else ""),
        "Errors": (str(errors), "in the log in the last hour", "warn" if errors else ""),
    }


def _stores(overview: Overview) -> Card:
    if overview.stores_failing:
        return "failing", f"{overview.stores_failing} out of order", "bad"
    if overview.are_files_failing:
        return "failing", "files of the daemon out of order", "bad"
    return "ok", f"{counted(overview.stores, 'store')} checked", "good"


def _originals(overview: Overview) -> Card:
    if overview.are_originals_faulty:
        return "failing", "not all are as recorded", "bad"
    return "ok", "as recorded", "good"


def _copies(state: CopyState) -> Card:
    if state.lost:
        return "incomplete", f"{counted(state.lost, 'file')} lost before they were copied", "bad"
    if state.files:
        return str(state.files), f"wait, for {in_words(state.lag)}", "warn" if state.lag > _LONG_LAG else ""
    return "ok", "up to date", "good"


def _running(overview: Overview) -> str:
    process, running = overview.process, f"running for {in_words(overview.uptime)}"
    return running if process.count == 1 else f"{process} of {process.count}, {running}"


def _value(value: str, meaning: str, kind: str) -> str:
    return f'<dd class="{kind}">{value}<small>{meaning}</small></dd>'
