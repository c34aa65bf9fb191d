"""What the pages of the console tell of a daemon: its state, its failures, its work and what checks have found."""

import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest

from tests.support.cli import run
from tests.support.console import ConsoleServer
from tests.support.daemon import eventually
from was_daemon.jobs.progress_file import ProgressFile
from was_daemon.web.console.remedies import remedy


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """A daemon with much set up, and one store that does not work."""
    directory = tmp_path_factory.mktemp("shown")
    (directory / "file").write_text("no directory")
    console = ConsoleServer(
        directory,
        {
            "stores": {
                "main": {"plugin": "filesystem", "path": directory / "store"},
                "<b>": {"plugin": "filesystem", "path": directory / "file/store"},
            },
            "thumbnails": {"warm": [100], "max_size": "1 GiB", "nginx_marker": directory / "marker"},
            "catalogue": {"path": directory / "catalogue.sqlite"},
            "fixity": {"every": "90 days"},
            "trash": {"keep": "30 days"},
        },
    ).start()
    yield console
    console.daemon.stop()


@pytest.mark.slow
def test_the_overview_tells_of_the_problem_and_has_plots_of_each_span(console: ConsoleServer) -> None:
    browser = console.visitor()
    eventually(lambda: "<svg" in browser.get("").text, "for the first sample")
    for span in ("hour", "day", "week", "nonsense"):
        page = browser.get(f"?span={span}")
        assert page.status == 200
        title = f"last {span}" if span != "nonsense" else "last hour"
        assert f">Requests, {title}</title>" in page.text
        assert page.text.count('aria-current="true"') == 1
    assert re.search(r'class="problem">\d problems?: store &lt;b&gt;: ', browser.get("").text)


def test_a_failure_is_told_with_its_reason_and_its_remedy(console: ConsoleServer) -> None:
    browser = console.visitor()
    client = type(browser)(console.daemon.port)
    assert client.send("GET", "/testkey?random=a&token=b", b"", {}).status == 403
    assert client.send("GET", "/fileget?filename=%3Cb%3E.jpg", b"", {}).status == 404
    assert remedy("the file does not say when it was made", 404) != remedy("", 404)
    assert "doctor" in remedy("the store cannot be used: read-only file system", 503)
    page = browser.get("failures/").text
    assert "testkey <small>403</small>" in page
    assert remedy("", 404).partition(":")[0] in page.replace("&#x27;", "'")
    assert "no such asset" in page
    assert "<code>was-daemon doctor</code> send on purpose" in page
    assert "was-daemon doctor" in remedy("the request is not a multipart form", 400)
    # The store that does not work is in the log.
    assert re.search(r'<h2 id="log">.*Store &lt;b&gt;', page, re.DOTALL)
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("reason", "act"),
    [
        ("the store's directory is gone; is its disk mounted?", "Mount the disk again"),
        ("/srv/store is gone. Is its disk mounted?", "Mount the disk again"),
        ("a directory for uploads cannot be written to by this user", "was-daemon doctor, as root, prints the command"),
        ("Nobody can log in to the console: /p cannot be read by the daemon (Permission denied); x", "doctor as root"),
    ],
)
def test_a_failure_on_the_disk_has_the_remedy_of_its_cause_and_not_of_its_status(reason: str, act: str) -> None:
    assert act in remedy(reason, 503)


def test_the_work_of_a_daemon_is_told_with_its_progress(console: ConsoleServer) -> None:
    (console.daemon.store / "originals").mkdir(parents=True, exist_ok=True)
    browser = console.visitor()
    page = browser.get("work/").text
    titles = re.findall(r'<h2 id="task-\d+">([^<]*)</h2>', page)
    assert titles[:2] == ["Thumbnails and metadata", "Warming"]
    assert "Fixity" in titles and "Catalogue" in titles
    assert 'data-refresh="10"' in page


def test_findings_are_told_with_what_to_do(console: ConsoleServer) -> None:
    page = console.visitor().get("findings/").text
    assert "store &lt;b&gt;: " in page
    assert "file/store" in page
    assert re.search(
        r'<th scope="row">spool</th><td><span class="good">ok</span></td><td class="number">[0-9.]+ ', page
    )


def test_the_advice_is_that_of_status(console: ConsoleServer) -> None:
    told = run("status", "--config", console.daemon.config_file, "--json").report["warnings"]
    assert any("nginx leaves thumbnails to the daemon" in each for each in told)
    advice = console.visitor().get("findings/").text.partition('<h2 id="advice">')[2].partition("<h2")[0]
    assert [unescape(each) for each in re.findall('<span class="warn">(.*?)</span>', advice)] == told
    assert "Leave out [thumbnails] nginx_marker" in advice


def test_a_catalogue_that_lacks_most_originals_is_advice_also_after_an_upload(console: ConsoleServer) -> None:
    told = "The catalogue lacks most originals that the stores have"
    browser, directory = console.visitor(), console.daemon.store / "originals"
    directory.mkdir(parents=True, exist_ok=True)
    assert told not in browser.get("findings/").text
    lost = [directory / f"lost{number}.jpg" for number in range(3)]
    recorded = directory / "recorded.jpg"
    try:
        for file in (*lost, recorded):
            file.write_bytes(b"felis")
        _record(console.daemon.directory / "catalogue.sqlite", recorded.name)
        page = browser.get("findings/").text
        lost[1].unlink()
        lost[2].unlink()
        enough = browser.get("findings/").text
    finally:
        for file in (*lost, recorded):
            file.unlink(missing_ok=True)
    assert told in page
    assert told not in enough
    assert "Run was-daemon catalogue rebuild" in page


def test_each_mistake_of_a_reload_is_advice_until_the_configuration_is_used_again(console: ConsoleServer) -> None:
    file, browser = console.daemon.config_file, console.visitor()
    before = file.read_text("utf-8")

    def reload(text: str, line: str) -> str:
        file.write_text(text, "utf-8")
        count = console.daemon.log().count(line)
        os.kill(console.daemon.pid, signal.SIGHUP)
        eventually(lambda: console.daemon.log().count(line) > count, f"for the log to say {line}")
        return browser.get("findings/").text

    try:
        page = reload(before + "[limts]\n[trahs]\n", "trahs: unknown section")
        failures = browser.get("failures/").text
        for name in ("limts", "trahs"):
            assert f"and a restart would fail: {name}: unknown section" in page
            assert f"stays in use: {name}: unknown section" in failures
        assert "was-daemon config check tells what is wrong in it" in page
    finally:
        assert "unknown section" not in reload(before, "The configuration was read again")


@pytest.mark.parametrize(
    ("warning", "what_to_do"),
    [
        ("Clients are told whatever host a request names: set public_url", "Set [server] public_url to"),
        ("Tokens are required to read, but anybody can read below /static/: set ...", "Set [server] static_access"),
        ("server.key_file: the key has fewer than 8 characters", "Change the setting"),
        (
            "/etc/key can be read by every user of this machine: run chmod o-r /etc/key",
            "Change the setting or the file",
        ),
        ("Quotas do not limit uploads by way of discovery.write", "Leave out that address in [discovery]"),
        ("nginx leaves thumbnails to the daemon: it would not ask for the tokens", "Leave out [thumbnails]"),
    ],
)
def test_a_warning_about_settings_leads_to_the_setting(warning: str, what_to_do: str) -> None:
    assert remedy(warning).startswith(what_to_do)


def test_a_page_that_there_is_not_says_so_to_the_administrator_alone(console: ConsoleServer) -> None:
    assert console.browser().get("nothing/at/all").status == 303
    browser = console.visitor()
    page = browser.get("nothing/at/all")
    assert page.status == 404
    assert "No such page" in page.text
    assert 'href="../../failures/"' in page.text
    answer = browser.post("failures/", {})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    answer = browser.get("failures")
    assert (answer.status, answer.headers["Location"]) == (303, "failures/")


def test_a_question_for_the_head_of_a_page_is_answered_alike(console: ConsoleServer) -> None:
    browser = console.visitor()
    answer = browser.send("HEAD", "/console/failures/", b"", {})
    assert (answer.status, answer.text) == (200, "")


@pytest.mark.slow
def test_history_and_failures_outlive_a_kill(tmp_path: Path) -> None:
    console = ConsoleServer(tmp_path / "killed").start()
    browser = console.visitor()
    client = type(browser)(console.daemon.port)
    client.send("GET", "/nothing", b"", {})
    eventually(lambda: "<svg" in browser.get("").text, "for the first sample")
    console.daemon.stop()
    # What a second start finds of the first one, and what a kill leaves.
    console.start()
    console.daemon.kill()
    console.start()
    try:
        assert "<svg" in console.visitor().get("").text
        assert sorted(path.name for path in console.history.iterdir())[-1] == "console-1.ring"
    finally:
        console.daemon.stop()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_failures_are_told_at_once_after_a_restart(tmp_path: Path, workers: int) -> None:
    console = ConsoleServer(tmp_path / "restarted", {"server": {"workers": workers}}).start()
    try:
        if workers > 1:
            console.daemon.await_processes()
        client = type(console.browser())(console.daemon.port)
        for _ in range(8):
            # Each on a new connection, which any of the processes may take.
            assert client.send("GET", "/fileget?filename=none.jpg", b"", {}).status == 404
        console.daemon.stop()
        console.start()
        page = console.visitor().get("failures/").text
        assert re.search(r'fileget <small>404</small>.*<td class="number" data-label="Times">8</td>', page)
    finally:
        console.daemon.stop()


@pytest.mark.slow
def test_a_history_that_cannot_be_kept_keeps_nothing_else_from_working(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    console = ConsoleServer(tmp_path / "full", {"admin": {"history": tmp_path / "file/history"}}).start()
    try:
        browser = console.visitor()
        eventually(lambda: "history of the console is not kept" in console.daemon.log(), "for the warning")
        assert "Nothing was counted yet" in browser.get("").text
        assert browser.get("failures/").status == 200
    finally:
        console.daemon.stop()


@pytest.mark.slow
def test_several_processes_have_one_console_with_the_numbers_of_all(tmp_path: Path) -> None:
    console = ConsoleServer(tmp_path / "several", {"server": {"workers": 2}}).start()
    try:
        eventually(lambda: "2 processes serve" in console.daemon.log(), "for both processes")
        # A client cannot say that it needs no password, and the parent is not taken for one.
        assert console.browser().get("", **{"X-Was-Visitor": "0 0 x"}).status == 303
        browser = console.visitor()
        assert browser.get("").headers["X-Frame-Options"] == "DENY"
        eventually(lambda: len(list(console.history.glob("*.ring"))) == 2, "for both files")
        assert "<svg" in browser.get("?span=day").text
        css = re.search(r'href="(\./static/[^"]+\.css)"', browser.get("").text)
        assert css and browser.get(css[1][2:]).text.startswith("/*")
        token = browser.get("").token
        assert browser.post("logout", {"csrf": "no"}).status == 403
        assert browser.post("logout", {"csrf": token}).status == 303
        assert browser.get("").status == 303
    finally:
        console.daemon.stop()


def test_an_examination_is_made_on_request_and_its_findings_are_told(console: ConsoleServer) -> None:
    browser = console.visitor()
    page = browser.get("findings/")
    assert "There was none since the daemon was started." in page.text
    assert browser.post("findings/examine", {}).status == 403
    answer = browser.post("findings/examine", {"csrf": page.token})
    assert (answer.status, answer.headers["Location"]) == (303, "./")

    def examined() -> str | None:
        text = browser.get("findings/").text
        return text if "Made less than" in text else None

    text = str(eventually(examined, "for the findings"))
    assert re.search(r'<strong>stores</strong> <span class="bad">failed</span>: .*&lt;b&gt;', text)
    assert "<summary>What is well: " in text


def test_a_command_that_runs_is_told_with_its_progress(console: ConsoleServer) -> None:
    eventually(console.history.is_dir, "for the directory of the console's files")
    file = ProgressFile(console.history, "was-daemon copy", "Copying <b>")
    file.set_total(8)
    for _ in range(2):
        file.advance()
    file.set_total(8)
    page = console.visitor().get("work/").text
    file.close()
    assert ">was-daemon copy</h2>\n<p>Copying &lt;b&gt;: 2 of 8 done" in page
    assert '<progress aria-labelledby="task-1" value="2" max="8">25 %</progress>' in page


def _record(catalogue: Path, name: str) -> None:
    statement = "INSERT INTO assets (store, collection, name, changed, description) VALUES ('main', '', ?, 0, 0)"
    with closing(sqlite3.connect(catalogue)) as connection, connection:
        connection.execute(statement, (name,))
