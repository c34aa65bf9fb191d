"""`was-daemon check`: our daemon passes, the official server fails where Specify suffers, nothing is left behind."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import RunDaemon
from tests.support import prepared
from tests.support.daemon import BIN, KEY, Daemon, clean_environment, eventually
from tests.support.model_server import KEY as MODEL_KEY
from tests.support.model_server import Answering, ModelServer, Reply, Request
from tests.support.official import OfficialServer
from tests.support.ports import free_port
from tests.support.slow import slow_but
from was_daemon.conformance import pictures
from was_daemon.conformance.suite import CHECKS

Completed = subprocess.CompletedProcess[str]


def check(url: str, *arguments: str | Path, key: str = MODEL_KEY) -> Completed:
    """The finished command; the key is handed over in the environment."""
    return prepared.run([BIN / "was-daemon", "check", url, *arguments], clean_environment({"ATTACHMENT_KEY": key}))


def states(finished: Completed) -> dict[str, str]:
    """What `--json` says about each check."""
    return {each["id"]: each["state"] for each in json.loads(finished.stdout)["checks"]}


def files_below(directory: Path) -> list[Path]:
    """All files but those that the daemon keeps for itself."""
    relative = [path.relative_to(directory) for path in directory.rglob("*") if path.is_file()]
    return [path for path in relative if not any(part.startswith(".") for part in path.parts)]


def everything_of(daemon: Daemon) -> set[Path]:
    """All files of a daemon: in its stores, unfinished ones too, and in its spool."""
    own = (".daemons", "twistd.log")
    files = {path for path in daemon.directory.rglob("*") if path.is_file()}
    return {path for path in files if not any(part in own for part in path.relative_to(daemon.directory).parts)}


@contextmanager
def collections_daemon(run_daemon: RunDaemon) -> Iterator[Daemon]:
    entries = {name: {"directory": name} for name in ("KUFish", "Käfer")}
    yield run_daemon({"collections": {"mode": "map", "map": entries}})


# -- our daemon --------------------------------------------------------------------------------------------------------


def test_our_daemon_passes_every_check_and_keeps_nothing(filesystem_daemon: Daemon, tmp_path: Path) -> None:
    before = everything_of(filesystem_daemon)
    (tmp_path / "key").write_text(f"{KEY}\n", "utf-8")
    finished = check(filesystem_daemon.url, "--key-file", tmp_path / "key", "--json", key="")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = states(finished)
    assert [id_ for id_, state in found.items() if state != "passed"] == ["collection-unknown"]
    assert len(found) == len(CHECKS) + 2
    assert everything_of(filesystem_daemon) <= before


@pytest.mark.slow
def test_thumbnails_made_in_the_background_and_kept_elsewhere_are_gone_too(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    stores = {name: {"plugin": "filesystem", "path": str(tmp_path / "daemon0" / name)} for name in ("main", "cache")}
    daemon = run_daemon({"stores": stores, "thumbnails": {"store": "cache", "warm": [60, 123, 400]}})
    before = everything_of(daemon)
    finished = check(daemon.url, "--json", key=KEY)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert states(finished)["clean-up"] == "passed"
    eventually(lambda: everything_of(daemon) == before, "for the thumbnails that are being made")


@pytest.mark.slow
def test_collections_are_tried_by_name(run_daemon: RunDaemon) -> None:
    with collections_daemon(run_daemon) as daemon:
        finished = check(daemon.url, "--coll", "KUFish", "--coll", "Käfer", "--json", key=KEY)
    assert set(states(finished).values()) == {"passed"}, finished.stdout
    assert states(finished)["upload-specify6-in-Käfer"] == "passed"
    assert files_below(daemon.store) == []


@pytest.mark.slow
def test_each_collection_may_have_its_own_key(run_daemon: RunDaemon, tmp_path: Path) -> None:
    names = ("KUFish", "Käfer")
    for name in names:
        (tmp_path / name).write_text(f"the key of {name}\n", "utf-8")
    entries = {name: {"directory": name, "key_file": str(tmp_path / name)} for name in names}
    server = {"key": None, "require_token_for_get": True}
    daemon = run_daemon({"server": server, "collections": {"mode": "map", "map": entries}})
    arguments = [argument for name in names for argument in ("--coll-key", name, tmp_path / name)]
    found = states(check(daemon.url, *arguments, "--json", key=""))
    assert {id_ for id_, state in found.items() if state != "passed"} == {"download-portal"}
    assert found["upload-specify6-in-Käfer"] == "passed"
    assert files_below(daemon.store) == []
    other = check(daemon.url, "--coll-key", "KUFish", tmp_path / "Käfer", "--json", key="")
    assert states(other)["upload-specify7"] == "failed"


def test_a_server_with_collections_is_not_blamed_when_none_is_named(run_daemon: RunDaemon) -> None:
    with collections_daemon(run_daemon) as daemon:
        finished = check(daemon.url, key=KEY)
    assert finished.returncode == 1
    assert "does the server want a collection? Name one with --coll" in finished.stdout
    assert " checks: as this failed: Specify 7 uploads" in finished.stdout


@pytest.mark.slow
def test_a_daemon_that_wants_tokens_to_read_differs_from_what_portals_need(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"server": {"require_token_for_get": True, "static_access": False}})
    finished = check(daemon.url, "--json", key=KEY)
    assert finished.returncode == 0, finished.stdout
    different = {id_: state for id_, state in states(finished).items() if state != "passed"}
    assert different == {"download-portal": "differs", "static": "skipped", "collection-unknown": "skipped"}


@pytest.mark.slow
def test_where_new_uploads_are_private_the_clients_with_tokens_have_what_they_need(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    server = {"require_token_for_get": "private"}
    daemon = run_daemon({"server": server, "catalogue": {"path": tmp_path / "catalogue.sqlite"}})
    finished = check(daemon.url, "--json", key=KEY)
    assert finished.returncode == 0, finished.stdout
    different = {id_: state for id_, state in states(finished).items() if state != "passed"}
    assert different == {"download-portal": "differs", "static": "skipped", "collection-unknown": "skipped"}


@pytest.mark.slow
def test_a_daemon_without_a_key_is_checked_without(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"server": {"key": None, "insecure_no_key": True}})
    finished = check(daemon.url, "--no-key", "--json", key="")
    assert finished.returncode == 0, finished.stdout
    skipped = {id_ for id_, state in states(finished).items() if state == "skipped"}
    assert skipped == {
        *("key", "key-wrong", "key-malformed", "key-old", "key-letters"),
        *("upload-token", "delete-token", "collection-unknown"),
    }


# -- the official server -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Completed:
    """The command's report on the official server, with a JUnit report too."""
    with OfficialServer().running() as server:
        return check(server.url, "--junit", tmp_path_factory.mktemp("official") / "report.xml")


@pytest.mark.slow
def test_the_official_server_fails_where_specifys_clients_suffer() -> None:
    with OfficialServer().running() as server:
        found = states(check(server.url, "--json"))
    # Also what was written outside of its store is removed.
    assert any(name.startswith("../") for name in server.written)
    assert server.originals == {}
    assert {id_ for id_, state in found.items() if state == "failed"} == {
        "key-letters",
        "upload-replaces",
        "upload-whole",
        "metadata-json",
        "metadata-none",
        "thumbnail-simultaneous",
        "thumbnail-position",
        "thumbnail-pages",
        "thumbnail-pdf",
        "names-letters",
        "names-traversal",
        "names-outside",
        "delete-thumbnails",
    }
    assert {id_ for id_, state in found.items() if state == "differs"} == {
        "key-malformed",
        "upload-fields",
        "download-type",
        "download-name",
        "thumbnail-scale",
        "delete-siblings",
        "clean-up",
    }


# -- the report --------------------------------------------------------------------------------------------------------


def test_a_line_for_each_check_tells_what_was_expected_and_what_came(official: Completed) -> None:
    lines = official.stdout.splitlines()
    at = lines.index("FAILED   metadata come as JSON")
    assert lines[at + 1 : at + 3] == ["         expected 200 to getmetadata", '         got      500 "no"']
    assert "passed   Specify 7 uploads: the file, then the fields" in lines
    assert "differs  a download has the name that it was given: the file of the name Käfer 1.jpg" in official.stdout
    assert lines[-1].endswith("13 failed, 1 skipped")
    assert official.returncode == 1
    assert "\x1b" not in official.stdout


def test_a_pipeline_gets_a_junit_report(official: Completed) -> None:
    suite = ElementTree.parse(official.args[-1]).getroot()
    cases = {str(case.get("classname")): case for case in suite}
    assert suite.get("tests") == str(len(cases))
    assert suite.get("failures") == "13"
    failure = cases["was-daemon.check.metadata-json"].find("failure")
    assert failure is not None
    assert failure.get("message") == 'expected 200 to getmetadata, got 500 "no"'
    assert cases["was-daemon.check.collection-unknown"].find("skipped") is not None
    assert cases["was-daemon.check.download-name"].find("system-out") is not None
    assert list(cases["was-daemon.check.download"]) == []


def test_a_server_does_not_steer_the_terminal() -> None:
    def paint(request: Request, answer: Answering) -> Reply:
        return answer(request).having(X_Timestamp="\x1b[2J", Content_Disposition="\x1b[31m")

    with ModelServer(paint).running() as server:
        finished = check(server.url)
    assert "\ufffd[2J" in finished.stdout
    assert "\x1b" not in finished.stdout


def test_a_report_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    with ModelServer().running() as server:
        finished = check(server.url, "--junit", tmp_path / "missing" / "report.xml")
    assert finished.returncode == 1
    assert "the report cannot be written" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_address_may_be_that_of_the_discovery_document() -> None:
    with ModelServer().running() as server:
        finished = check(f"{server.url}/web_asset_store.xml")
    assert (finished.returncode, finished.stderr) == (0, ""), finished.stdout


def test_a_server_whose_clock_is_wrong_is_checked_by_its_own_time() -> None:
    server = ModelServer()
    server.ahead = 4000
    with server.running():
        found = states(check(server.url, "--json"))
    assert {id_: state for id_, state in found.items() if state not in ("passed", "skipped")} == {"clock": "differs"}


# -- faults of the call ------------------------------------------------------------------------------------------------


def test_nobody_there_is_one_failure_and_no_traceback() -> None:
    finished = check(f"http://127.0.0.1:{free_port()}")
    assert finished.returncode == 1
    assert finished.stdout.count("FAILED") == 1
    assert "Connection refused" in finished.stdout
    assert "Traceback" not in finished.stderr


def test_with_a_wrong_key_nothing_is_uploaded() -> None:
    with ModelServer().running() as server:
        finished = check(server.url, key="wrong")
    assert finished.returncode == 1
    assert 'got      403 "no"' in finished.stdout
    assert " checks: as this failed: the key is the server's" in finished.stdout
    assert server.written == []


def test_the_key_may_come_from_the_standard_input() -> None:
    with ModelServer().running() as server:
        piped = subprocess.run(
            [BIN / "was-daemon", "check", server.url, "--key-stdin"],
            input=f"{MODEL_KEY}\n",
            capture_output=True,
            text=True,
            env=clean_environment(),
        )
    assert piped.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["assets.example.org"],
        ["ftp://assets.example.org"],
        ["http://[::1"],
        ["http://localhost", "--key-file", "/nowhere/key"],
        ["http://localhost", "--key-stdin", "--no-key"],
        ["http://localhost", "--key-stdin"],
        ["http://localhost", "--timeout", "0"],
    ],
)
def test_wrong_usage_ends_with_status_2(arguments: list[str]) -> None:
    finished = check(*arguments, key="")
    assert finished.returncode == 2, finished
    assert "Traceback" not in finished.stderr


def test_without_any_key_the_command_asks_for_one() -> None:
    finished = check("http://localhost", key="")
    assert finished.returncode == 2
    assert "use --key-file, --key-stdin, $ATTACHMENT_KEY or --no-key" in " ".join(finished.stderr.split())


# -- what is left behind -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", slow_but([signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]))
def test_an_interrupted_check_cleans_up(signal_number: signal.Signals) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hold(request: Request, answer: Answering) -> Reply:
        if request.fields.get("type") == "T" and request.method == "GET":
            asked.set()
            go_on.wait(60)
        return answer(request)

    with ModelServer(hold).running() as server:
        process = subprocess.Popen(
            [BIN / "was-daemon", "check", server.url],
            env=clean_environment({"ATTACHMENT_KEY": MODEL_KEY}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What a shell runs in the background begins with this one ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert asked.wait(60)
        assert server.originals
        os.kill(process.pid, signal_number)
        _, errors = process.communicate(timeout=60)
        go_on.set()
        assert process.returncode == 1
        assert errors == "Interrupted; what was uploaded is removed.\n"
        eventually(lambda: server.originals == {}, "for the upload to be removed")


@pytest.mark.slow
def test_thumbnails_that_the_server_keeps_are_named() -> None:
    with OfficialServer().running() as server:
        finished = check(server.url)
    named = {*re.findall(r"the thumbnail of (.+?) at scale (\d+)", finished.stderr)}
    assert {server.thumbnail_name(name, int(scale)) for name, scale in named} == {*server.thumbnails} != set()
    assert finished.stderr.startswith("Left on the server: the thumbnail of ")
    assert "differs  nothing is left behind: the server has the thumbnail of " in finished.stdout
    assert all(name in finished.stdout for name, _ in named)


def test_a_picture_for_whatever_is_missing_is_not_left_behind() -> None:
    def show_icon(request: Request, answer: Answering) -> Reply:
        got = answer(request)
        is_missing = got.status == 404 and request.fields.get("type") == "T"
        return Reply(200, pictures.plain(pictures.RED, (20, 20))) if is_missing else got

    with ModelServer(show_icon).running() as server:
        finished = check(server.url)
    assert finished.stderr == ""
    assert "passed   nothing is left behind" in finished.stdout


def test_what_cannot_be_removed_is_named() -> None:
    def keep_texts(request: Request, answer: Answering) -> Reply:
        keep = request.path == "/filedelete" and request.fields["filename"].endswith(".txt")
        return Reply(503) if keep else answer(request)

    with ModelServer(keep_texts).running() as server:
        finished = check(server.url)
        (left,) = server.originals
    assert finished.returncode == 1
    assert (
        f"FAILED   nothing is left behind\n         expected all uploads to be removed\n         got      {left}\n"
        in (finished.stdout)
    )
    assert finished.stderr == f"Left on the server: {left}\n"
