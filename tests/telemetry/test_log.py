"""The log: one line for each request, as text or JSON, wherever twistd writes it."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.client import Client
from tests.support.daemon import BIN, KEY, Daemon, clean_environment, eventually
from was_daemon.model.tokens import sign

LINE = re.compile(
    r'\S+ \[-\] (?P<client>\S+) "(?P<request>[^"]*)" (?P<status>\w+) (?P<bytes>\d+) (?P<ms>[\d.]+)ms '
    r'(?P<id>\S+) "(?P<agent>[^"]*)"(?: "(?P<reason>[^"]+)")?'
)


def fetch(url: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {})) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def line_of(daemon: Daemon, request_id: str) -> re.Match[str]:
    line = eventually(lambda: next((line for line in daemon.log().splitlines() if request_id in line), None), "a line")
    match = LINE.fullmatch(line)
    assert match, line
    return match


def object_of(daemon: Daemon, request_id: str) -> dict[str, Any]:
    return next(each for each in objects(daemon.log()) if each.get("request_id") == request_id)


def objects(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines()]


def send(daemon: Daemon, data: bytes) -> str:
    with socket.create_connection(("127.0.0.1", daemon.port)) as client:
        client.sendall(data)
        return client.recv(10_000).decode("latin-1")


def test_each_answer_names_its_line_in_the_log(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    status, headers = fetch(f"{daemon.url}/fileget?filename=none.jpg&token=abc", {"User-Agent": 'curl"\t\x80'})
    line = line_of(daemon, headers["X-Request-Id"])
    assert status == 404
    assert line["client"] == "127.0.0.1"
    assert line["request"] == "GET /fileget?filename=none.jpg&token=..."
    assert line["status"] == "404"
    assert int(line["bytes"]) == int(headers["Content-Length"])
    assert line["agent"].startswith("curl'")


def test_no_two_requests_have_the_same_name(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    assert len({fetch(daemon.url)[1]["X-Request-Id"] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"]
)
def test_errors_have_a_name_too(filesystem_daemon: Daemon, request_: bytes) -> None:
    assert re.search(r"\r\nX-Request-Id: [0-9a-f]{16}\r\n", send(filesystem_daemon, request_), re.IGNORECASE)


def test_a_trusted_proxys_name_for_a_request_is_taken_over(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"server": {"trusted_proxies": ["127.0.0.1"]}})
    _, headers = fetch(daemon.url, {"X-Request-Id": "proxy-1.2_3", "X-Forwarded-For": "203.0.113.7"})
    assert headers["X-Request-Id"] == "proxy-1.2_3"
    assert line_of(daemon, "proxy-1.2_3")["client"] == "203.0.113.7"


@pytest.mark.parametrize("name", ["a" * 65, 'a"b', "a b", "é", ""])
def test_a_proxys_name_that_could_do_harm_is_not(run_daemon: RunDaemon, name: str) -> None:
    daemon = run_daemon({"server": {"trusted_proxies": ["127.0.0.1"]}})
    assert re.fullmatch("[0-9a-f]{16}", fetch(daemon.url, {"X-Request-Id": name})[1]["X-Request-Id"])


def test_nor_is_anybody_elses(filesystem_daemon: Daemon) -> None:
    assert fetch(filesystem_daemon.url, {"X-Request-Id": "mine"})[1]["X-Request-Id"] != "mine"


def test_a_request_that_nobody_waited_for_is_logged_as_aborted(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    with socket.create_connection(("127.0.0.1", daemon.port)) as client:
        client.sendall(b"POST /fileupload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n")
        client.sendall(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100")
    eventually(lambda: '"POST /fileupload" aborted' in daemon.log(), "for the line")


def test_json_is_one_object_for_each_line_from_the_first_to_the_last(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"log": {"format": "json"}})
    token = "0" * 32 + ":1234567890"
    _, headers = fetch(f"{daemon.url}/testkey?random=%C3%A9&token={token}", {"User-Agent": 'a "quoted" one'})
    daemon.stop()
    line = object_of(daemon, headers["X-Request-Id"])
    assert line["method"] == "GET"
    assert line["path"] == "/testkey?random=%C3%A9&token=..."
    assert line["status"] == 403
    assert line["bytes"] == int(headers["Content-Length"])
    assert 0 <= line["milliseconds"] < 30_000
    assert line["client"] == "127.0.0.1"
    assert line["agent"] == 'a "quoted" one'
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    everything = objects(daemon.log())
    assert all({"time", "level", "logger"} <= each.keys() for each in everything)
    assert any("was_daemon" in each.get("message", "") and each["level"] == "info" for each in everything)
    assert any("the daemon stops" in each.get("message", "") for each in everything)


def reason_of(daemon: Daemon, url: str) -> tuple[int, str | None]:
    status, headers = fetch(f"{daemon.url}{url}")
    return status, line_of(daemon, headers["X-Request-Id"])["reason"]


def test_each_403_is_one_line_with_its_reason(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    now, skew = int(time.time()), "the token's time is"
    for query, reason in {
        "": "the token is missing",
        "&token=abc": "the token is malformed",
        f"&token={sign(KEY, 'b', now)}": "the token is for another name, or signed with another key",
        f"&token={sign(KEY, 'a', now - 1000)}": rf"{skew} 10\d\d s behind the server's, and token_window = 150",
        f"&token={sign(KEY, 'a', now + 1000)}": rf"{skew} \d+ s ahead of the server's, and token_window = 150",
    }.items():
        status, told = reason_of(daemon, f"/testkey?random=a{query}")
        assert status == 403
        assert re.fullmatch(reason, told or ""), told
    assert reason_of(daemon, f"/testkey?random=a&token={sign(KEY, 'a', now)}") == (200, None)
    assert KEY not in daemon.log()


def test_json_has_the_reason_too(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"log": {"format": "json"}})
    _, headers = fetch(f"{daemon.url}/testkey?random=a")
    daemon.stop()
    assert object_of(daemon, headers["X-Request-Id"])["reason"] == "the token is missing"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"limits": {"min_free": "900 TiB"}}, r"[\d.]+ \wiB free for an upload of [\d.]+ \w+, and min_free = 900 TiB"),
        (
            {"collections": {"mode": "map", "map": {"Fish": {"directory": "fishes", "quota": 1000}}}},
            "the upload does not fit into the collection's quota of 1000 bytes in the directory fishes",
        ),
    ],
)
async def test_each_507_is_one_line_with_the_limit(run_daemon: RunDaemon, config: dict[str, Any], reason: str) -> None:
    daemon = run_daemon(config)
    client = Client(daemon.url, KEY)
    answer = await client.upload(client.specify7_form("a.jpg", coll="Fish"), b"a" * 2000)
    assert answer.status == 507
    line = eventually(lambda: next((each for each in daemon.log().splitlines() if "POST " in each), None), "a line")
    match = LINE.fullmatch(line)
    assert match
    assert re.fullmatch(reason, match["reason"] or ""), line


def test_the_format_follows_a_reload(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    daemon.write_config({"log": {"format": "json"}})
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: "is in use" in daemon.log(), "for the reload")
    _, headers = fetch(daemon.url)
    last = daemon.log().splitlines()[-1]
    assert json.loads(last)["request_id"] == headers["X-Request-Id"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_logfile_is_heeded_and_rotated(tmp_path: Path, log_format: str) -> None:
    log = tmp_path / "was.log"
    daemon = Daemon(tmp_path, {"log": {"format": log_format}})
    process = subprocess.Popen(
        [BIN / "twistd", "-n", "--pidfile=", f"--logfile={log}", "was", "--config", daemon.config_file],
        cwd=tmp_path,
        env=clean_environment({"TMPDIR": str(tmp_path)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        eventually(lambda: log.exists() and "serves" in log.read_text(), "for the log")
        eventually(lambda: _answers(daemon.url), "for an answer")
        assert "GET" in log.read_text()
        os.kill(process.pid, signal.SIGUSR1)
        eventually((tmp_path / "was.log.1").exists, "for the rotated log")
        _, headers = fetch(daemon.url)
        assert headers["X-Request-Id"] in log.read_text()
    finally:
        process.terminate()
        output, _ = process.communicate()
    assert output == b""


def _answers(url: str) -> bool:
    try:
        return fetch(url)[0] == 200
    except urllib.error.URLError:
        return False


def test_an_unknown_format_is_a_mistake(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {"log": {"format": "xml"}})
    assert daemon.launch().wait(30) == 1
    assert 'log.format: expected "text" or "json", got "xml"' in daemon.log()
