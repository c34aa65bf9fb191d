"""A browser without a window: pages as people see and use them."""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
from PIL import Image

from tests.support.needs import require

_CHROMIUM = shutil.which("chromium")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_PATIENCE = 120
_PAGE_SECONDS = 20
"""Time that passes on a page of scripts before it is looked at: the page's own, which stands while a request runs."""
_KEY_CODES = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "PageUp": 33,
    "PageDown": 34,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


@attrs.frozen
class Shown:
    """What a page of scripts has become: its elements as HTML, and what people see of it."""

    html: str
    picture: Image.Image


def show(url: str, directory: Path, size: tuple[int, int]) -> Shown:
    """The page at `url` after its scripts ran, in a window of `size` pixels; `directory` is as for `screenshot`."""
    picture = directory / "page.png"
    require(_CHROMIUM, "Chromium")
    done = subprocess.run(
        [
            str(_CHROMIUM),
            *_FLAGS,
            "--autoplay-policy=no-user-gesture-required",
            f"--user-data-dir={directory / 'profile'}",
            f"--window-size={size[0]},{size[1]}",
            f"--virtual-time-budget={_PAGE_SECONDS * 1000}",
            f"--screenshot={picture}",
            "--dump-dom",
            url,
        ],
        check=True,
        capture_output=True,
        timeout=_PATIENCE,
    )
    with Image.open(picture) as image:
        return Shown(done.stdout.decode(), image.convert("RGB"))


def screenshot(url: str, directory: Path, size: tuple[int, int], dark: bool = False, scale: int = 1) -> Image.Image:
    """The page at `url` in a window of `size` pixels; what the browser keeps goes to `directory`."""
    picture = directory / "page.png"
    require(_CHROMIUM, "Chromium")
    subprocess.run(
        [
            str(_CHROMIUM),
            *_FLAGS,
            *(["--force-dark-mode"] if dark else []),
            f"--user-data-dir={directory / 'profile'}",
            f"--window-size={size[0]},{size[1]}",
            f"--force-device-scale-factor={scale}",
            f"--screenshot={picture}",
            url,
        ],
        check=True,
        capture_output=True,
        timeout=_PATIENCE,
    )
    with Image.open(picture) as image:
        return image.convert("RGB")


class Navigated(Exception):
    """A command about a document in whose place another one has come."""


class Page:
    """A page in a browser that is spoken to by the DevTools protocol, as JSON through a pair of pipes.

    `complaints` are the errors and warnings of its console, violations of its Content-Security-Policy among them;
    `failed` are those about answers with an error, `requests` the addresses that it has asked for.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.complaints: list[str] = []
        self.failed: list[str] = []
        self.requests: list[str] = []
        self._commands = commands
        self._answers = answers
        self._received = b""
        self._number = 0
        self._session: str | None = None

    def attach(self) -> None:
        """Open an empty page."""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def show_as(self, size: tuple[int, int], dark: bool = False, scale: int = 1, touch: bool = False) -> None:
        """Have a window of `size` pixels, light or dark, that is touched or not."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": touch}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        self.command("Emulation.setTouchEmulationEnabled", enabled=touch, maxTouchPoints=5 if touch else 1)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        calm = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.command("Emulation.setEmulatedMedia", features=[scheme, calm])

    def open(self, url: str) -> None:
        """Go to an address, and wait until the document is there."""
        before = self.evaluate("performance.timeOrigin")
        answer = self.command("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        self.wait_for(f"document.readyState === 'complete' && performance.timeOrigin !== {before}")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, of what it promises."""
        result = self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with suppress(Navigated):
                if self.evaluate(f"(() => {{ try {{ return Boolean({condition}) }} catch {{ return false }} }})()"):
                    return
            time.sleep(0.02)
        raise AssertionError(f"waited in vain: {condition}; {self.complaints}")

    def click(self, selector: str) -> None:
        """Click in the middle of an element, which must be what is seen there."""
        name = json.dumps(selector)
        x, y = self.evaluate(
            f"(() => {{ const box = document.querySelector({name}).getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        assert self.evaluate(f"Boolean(document.elementFromPoint({x}, {y})?.closest({name}))"), (
            f"{selector} is hidden or covered"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key, such as "r" or "ArrowLeft"."""
        code = _KEY_CODES.get(key) or ord(key.upper())
        event = {"key": key, "windowsVirtualKeyCode": code}
        self.command("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": key} if len(key) == 1 else {}))
        self.command("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        """Write into the element that has the focus."""
        self.command("Input.insertText", text=text)

    def pinch(self, x: int, y: int, factor: float) -> None:
        """Move two fingers apart, or together, around a point."""
        self.command("Input.synthesizePinchGesture", x=x, y=y, scaleFactor=factor, gestureSourceType="touch")

    def picture(self) -> Image.Image:
        """The page as it is seen."""
        data = self.command("Page.captureScreenshot", format="png")["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def command(self, method: str, **parameters: Any) -> Any:
        """What the browser answers to a command."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "navigated" in answer.get("error", {}).get("message", ""):
                    raise Navigated
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self._take(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            assert select.select([self._answers], [], [], _PATIENCE)[0], "the browser does not answer"
            data = os.read(self._answers, 1 << 20)
            assert data, "the browser has ended"
            self._received += data
        message, _, self._received = self._received.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _take(self, event: dict[str, Any]) -> None:
        details = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and details["entry"]["level"] in ("error", "warning"):
            told = self.failed if details["entry"]["source"] == "network" else self.complaints
            told.append(f"{details['entry']['text']} {details['entry'].get('url', '')}")
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(details["exceptionDetails"]))
        elif event.get("method") == "Runtime.consoleAPICalled" and details["type"] in ("error", "warning", "assert"):
            line = " ".join(str(each.get("value", "")) for each in details["args"])
            (self.failed if "failed to load" in line else self.complaints).append(line)
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])


@contextmanager
def browser(directory: Path) -> Iterator[Page]:
    """A page in a browser of its own, which keeps what it keeps in `directory`."""
    require(_CHROMIUM, "Chromium")
    (to_browser, commands), (answers, from_browser) = os.pipe(), os.pipe()
    # The browser reads from descriptor 3 and writes to 4; whatever these are here, they are moved there.
    script = f'exec 3<&{to_browser} 4>&{from_browser} && exec "$@"'
    command = [str(_CHROMIUM), *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={directory / 'profile'}"]
    process = subprocess.Popen(
        ["bash", "-c", script, "browser", *command],
        pass_fds=(to_browser, from_browser),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    page = Page(commands, answers)
    try:
        page.attach()
        yield page
        page._session = None
        page.command("Browser.close")
    finally:
        os.close(commands)
        os.close(answers)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
