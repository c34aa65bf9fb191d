"""The console in a real browser: on a phone, in the dark, by keyboard, without scripts, and with its policy."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Page
from tests.support.console import PASSWORD, ConsoleServer
from tests.support.daemon import eventually
from tests.support.slow import slow_after
from was_daemon.health.history.ring_file import RingFile

DESK, PHONE = (1200, 800), (360, 740)
MINUTES = 7 * 24 * 60
PAGES = ("", "?span=week", "failures/", "work/", "findings/")


def fill(path: Path) -> None:
    """Write a week of samples into a file of history."""
    file = RingFile(path)
    now = int(time.time())
    number = 0
    for age in range(MINUTES, 0, -1):
        moment = now - 60 * age
        busy = 4 if 8 <= moment // 3600 % 24 < 18 else 1
        number += busy * (60 + moment // 60 * 37 % 53)
        if age < 120 or age % 10 == 0:
            file.write(moment, sample(now, MINUTES - age, busy, number))
    file.close()


def sample(now: int, minute: int, busy: int, number: int) -> dict[str, Any]:
    """What a server may have counted in so many minutes, with so many requests."""
    wave = minute * 37 % 11
    return {
        "began": now - 8 * 24 * 3600,
        "requests": number,
        "seconds": [[0.005, number // 2], [0.05, number * 9 // 10], [0.5, number * 99 // 100], [0, number]],
        "errors": {"not found": minute // 3, "token refused": minute // 40, "disk full": max(0, minute - 9000) // 60},
        "received": number * 40_000,
        "sent": number * 260_000,
        "made": number // 9,
        "waiting": busy * wave // 4,
        "background": 3 * wave,
        "running": 2,
        "busy": min(busy, 4),
        "idle": 4 - min(busy, 4),
        "memory": (120 << 20) + (wave << 20),
        "stores": {"main": [number, number * 0.002, minute // 500], "cloud": [number // 9, number * 0.01, 0]},
        "mirrors": {"main, copy": max(0, 400 - minute % 700)},
        "quotas": {"Fish": [minute * 40_000_000, 500 << 30], "Käfer": [450 << 30, 500 << 30]},
        "free": {"store main": (900 << 30) - minute * 30_000_000, "spool": 80 << 30},
    }


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """A daemon that seems to have run for a week."""
    console = ConsoleServer(tmp_path_factory.mktemp("seen"), {"trash": {"keep": "30 days"}})
    # The daemon writes to one of its own.
    fill(console.history / "console-9.ring")
    console.start()
    console.browser().send("GET", "/nothing", b"", {})
    type(console.browser())(console.daemon.port).send("GET", "/testkey?random=a&token=b", b"", {})
    yield console
    console.daemon.stop()


def url(console: ConsoleServer, page: str) -> str:
    return f"http://localhost:{console.port}/console/{page}"


def log_in(page: Page, console: ConsoleServer) -> None:
    """Log in as people do, with the keyboard alone."""
    page.command("Network.clearBrowserCookies")
    page.open(url(console, ""))
    page.wait_for("document.activeElement.id === 'password'")
    page.type(PASSWORD)
    page.command("Input.dispatchKeyEvent", type="keyDown", key="Enter", windowsVirtualKeyCode=13, text="\r")
    page.wait_for("document.querySelector('nav')")


def test_the_overview_is_drawn_as_the_numbers_say(page: Page, console: ConsoleServer) -> None:
    log_in(page, console)
    page.open(url(console, "?span=week"))
    assert page.evaluate("document.querySelectorAll('figure.plot').length") >= 12
    box = page.evaluate(
        "(() => { const line = document.querySelector('figure .line').getBBox(); return [line.width, line.height] })()"
    )
    assert box[0] > 300 and box[1] > 20
    # Colours come from the style sheet, which the policy allows.
    stroke = page.evaluate("getComputedStyle(document.querySelector('figure .line.series-1')).stroke")
    assert stroke == "rgb(23, 107, 60)"


@pytest.mark.parametrize("name", slow_after(1, PAGES))
def test_every_page_fits_a_phone_in_the_dark(page: Page, console: ConsoleServer, name: str) -> None:
    page.show_as(PHONE, dark=True, scale=2, touch=True)
    log_in(page, console)
    page.open(url(console, name))
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 20)"
    small = page.evaluate(
        "[...document.querySelectorAll('nav a, button, .tabs a')]"
        ".filter(each => each.offsetParent && each.getBoundingClientRect().height < 40).map(each => each.textContent)"
    )
    assert small == []


@pytest.mark.parametrize("name", slow_after(1, PAGES))
def test_every_page_has_landmarks_one_heading_and_a_way_past_the_navigation(
    page: Page, console: ConsoleServer, name: str
) -> None:
    log_in(page, console)
    page.open(url(console, name))
    counts = page.evaluate(
        "['h1', 'main', 'nav', 'header', 'footer'].map(each => document.querySelectorAll(each).length)"
    )
    assert counts == [1, 1, 1, 1, 1]
    assert page.evaluate("document.documentElement.lang") == "en"
    page.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.command("Input.dispatchKeyEvent", type="keyDown", key="Enter", windowsVirtualKeyCode=13, text="\r")
    page.wait_for("document.activeElement.id === 'content'")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('[role=region], section, svg[role=img], input:not([type=hidden], [hidden])')]"
        ".filter(each => !each.getAttribute('aria-label') && !each.getAttribute('aria-labelledby'))"
        ".filter(each => !each.labels?.length)"
        ".map(each => each.outerHTML.slice(0, 80))"
    )
    assert unnamed == []


def test_texts_can_be_read_in_light_and_dark(page: Page, console: ConsoleServer) -> None:
    log_in(page, console)
    for dark in (False, True):
        page.show_as(DESK, dark=dark)
        ratios = page.evaluate(CONTRASTS)
        assert all(ratio >= 4.5 for ratio in ratios["texts"].values()), ratios
        assert all(ratio >= 3 for ratio in ratios["lines"].values()), ratios


CONTRASTS = """(() => {
  const style = getComputedStyle(document.documentElement);
  const luminance = (name) => {
    const box = document.createElement("i");
    box.setAttribute("class", "probe");
    document.body.append(box);
    box.style.color = `var(--${name})`;
    const parts = getComputedStyle(box).color.match(/[0-9.]+/g).slice(0, 3).map((each) => each / 255);
    box.remove();
    const [r, g, b] = parts.map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const texts = {}, lines = {};
  for (const text of ["text", "soft", "good", "bad", "warn"]) {
    for (const back of ["back", "card"]) texts[`${text} on ${back}`] = ratio(text, back);
  }
  texts["on-accent on accent"] = ratio("on-accent", "accent");
  for (let number = 1; number <= 8; number++) lines[number] = ratio(`series-${number}`, "card");
  return { texts, lines };
})()"""


@pytest.mark.slow
def test_a_page_refreshes_itself_and_keeps_what_is_open_and_focused(page: Page, console: ConsoleServer) -> None:
    log_in(page, console)
    page.open(url(console, "work/"))
    assert page.evaluate("document.body.dataset.refresh") == "10"
    page.evaluate("document.querySelector('main h2').textContent = 'old'")
    page.wait_for("document.querySelector('main h2').textContent !== 'old'")


@pytest.mark.slow
def test_without_scripts_every_page_is_there(page: Page, console: ConsoleServer) -> None:
    log_in(page, console)
    page.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        for name in PAGES:
            page.command("Page.navigate", url=url(console, name))
            eventually(lambda name=name: json.dumps(url(console, name))[1:-1] in page.evaluate("location.href"), name)  # type: ignore[misc]
            page.wait_for("document.querySelector('main h1') && document.querySelector('nav')")
    finally:
        page.command("Emulation.setScriptExecutionDisabled", value=False)


def test_one_can_log_out(page: Page, console: ConsoleServer) -> None:
    log_in(page, console)
    page.click(".logout button")
    page.wait_for("document.querySelector('#password')")
    page.open(url(console, "work/"))
    assert page.evaluate("location.pathname") == "/console/login"
