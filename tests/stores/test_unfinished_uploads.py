"""What a killed daemon left of uploads to a remote store goes when it starts again, and nothing of anybody else's."""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import boto3
import pytest

from tests.support import davservers, s3servers
from tests.support.blocking import BlockingClient, NoAnswerError, finished
from tests.support.client import Answer
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.remotes import Relay
from tests.support.s3servers import ACCESS_KEY, BUCKET, SECRET_KEY
from tests.support.slow import slow_but
from tests.support.sshd import SSHD, USER

pytestmark = pytest.mark.slow

LARGE = os.urandom(7_000_000)
"""More than one part for a bucket, and more than an SFTP store has under way at a time."""


class Gate(Relay):
    """A relay that can hold the uploads under way, each at the same step, while whoever connects now may pass.

    The step is the request in which `step` is found, or, without one, the second megabyte of a connection.
    """

    def __init__(self, target: int, step: bytes | None) -> None:
        super().__init__(target)
        self._step = re.compile(step) if step else None
        self._holds = False
        self.held = 0

    @contextmanager
    def holding(self) -> Iterator[None]:  # type: ignore[override]  # it is told in advance what to hold
        """Hold uploads meanwhile."""
        self._holds = True
        try:
            yield
        finally:
            with self._state:
                self._holds = False
                self._state.notify_all()

    def passed(self, data: bytes) -> bytes:
        """See `Relay`."""
        if self._step and self._step.search(data):
            self._wait()
        return data

    def _gate(self) -> Callable[[int], None]:
        is_new, sent = self._holds, 0

        def let_pass(size: int) -> None:
            nonlocal sent
            sent += size
            if not self._step and not is_new and sent > 1_000_000:
                self._wait()

        return let_pass

    def _wait(self) -> None:
        with self._state:
            if self._holds:
                self.held += 1
                self._state.wait_for(lambda: not self._holds)


@attrs.frozen
class Far:
    """A remote store: its table in a configuration, what holds uploads to it, and what is there but no asset."""

    table: dict[str, Any]
    gate: Gate
    left: Callable[[], set[str]]


def _sftp(directory: Path, stack: ExitStack, step: bytes | None) -> Far:
    server, root = SSHD(directory / "sshd"), directory / "root"
    root.mkdir()
    server.start()
    stack.callback(server.stop)
    gate = Gate(server.port, step)
    table = {
        "plugin": "sftp",
        "host": "127.0.0.1",
        "port": gate.port,
        "user": USER,
        "path": root,
        "identity_file": server.user_key,
        "fingerprint": server.fingerprint(),
    }
    return Far(table, gate, lambda: {str(path) for path in root.rglob(".staging/*")})


def _webdav(make_server: Callable[[], davservers.DavServer], stack: ExitStack, step: bytes | None) -> Far:
    server = make_server().start()
    stack.callback(server.remove)
    gate = Gate(server.port, step)
    table = {"plugin": "webdav", "url": f"http://127.0.0.1:{gate.port}/"}
    return Far(table, gate, lambda: {str(path) for path in server.root.rglob(".was-staging/*")})


def _s3(stack: ExitStack, step: bytes | None) -> Far:
    server = s3servers.moto().start()
    stack.callback(server.remove)
    gate = Gate(server.port, step)
    login = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "region_name": "us-east-1"}
    bucket = boto3.client("s3", endpoint_url=server.url, **login)
    bucket.create_bucket(Bucket=BUCKET)

    def left() -> set[str]:
        marks = bucket.list_objects_v2(Bucket=BUCKET, Prefix=".was-staging/").get("Contents", [])
        uploads = bucket.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return {each["Key"] for each in marks} | {each["UploadId"] for each in uploads}

    table = {
        "plugin": "s3",
        "bucket": BUCKET,
        "endpoint": f"http://127.0.0.1:{gate.port}",
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
    }
    return Far(table, gate, left)


_MOVE = rb"^MOVE [\s\S]*/originals/[ab]\.bin"
_CASES = {
    "sftp": None,
    "apache": _MOVE,
    "nginx": _MOVE,
    "wsgidav": _MOVE,
    "s3, before its end": rb"^POST [^\r]*uploadId=",
    "s3, before its parts": rb"^PUT [^\r]*partNumber=1\b",
}


@pytest.fixture(params=slow_but(["sftp", "s3, before its end"], _CASES))
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Far]:
    """A remote store of each kind, with uploads held at some step."""
    kind, _comma, _step = request.param.partition(",")
    step = _CASES[request.param]
    with ExitStack() as stack:
        if kind == "sftp":
            found = _sftp(tmp_path, stack, step)
        elif kind == "s3":
            found = _s3(stack, step)
        else:
            found = _webdav(getattr(davservers, kind), stack, step)
        stack.callback(found.gate.close)
        yield found


@pytest.fixture
def start(far: Far, tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    """Starts daemons on the store, which share a spool, as those of one machine do."""
    with ExitStack() as stack:

        def start(name: str) -> Daemon:
            config = {"stores": {"main": far.table}, "spool": {"path": tmp_path / "spool"}}
            daemon = Daemon(tmp_path / name, config).start()
            stack.callback(daemon.stop)
            # It is connected then, and knows what the server can do.
            assert _upload(daemon, f"{name}.txt", b"small")
            eventually(lambda: not far.left(), "for what is done at the start to end")
            return daemon

        yield start


def _upload(daemon: Daemon, name: str, content: bytes = LARGE) -> Answer | None:
    try:
        return finished(BlockingClient(daemon.url, KEY).upload_like_specify7(name, content))
    except NoAnswerError:
        return None


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for clients."""
    with ThreadPoolExecutor() as threads:
        yield threads


def test_what_a_killed_daemon_left_goes_when_it_starts_and_the_uploads_of_others_stay(
    far: Far, start: Callable[[str], Daemon], threads: ThreadPoolExecutor
) -> None:
    killed, alive = start("killed"), start("alive")
    with far.gate.holding():
        acknowledged = threads.submit(_upload, alive, "a.bin")
        eventually(lambda: far.gate.held == 1, "for the upload that stays")
        stays = far.left()
        assert stays
        given_up = threads.submit(_upload, killed, "b.bin")
        eventually(lambda: far.gate.held == 2, "for the upload that will be killed")
        assert len(far.left()) == 2 * len(stays)
        killed.kill()
        assert given_up.result() is None
        assert len(far.left()) == 2 * len(stays)
        killed.start()
        eventually(lambda: far.left() == stays, "for what the killed daemon left to go")
        eventually(lambda: "removed 1 unfinished" in killed.log(), "for the log to say so")
        assert far.left() == stays
    answer = acknowledged.result()
    assert answer
    assert answer.body == b"Ok."
    client = BlockingClient(alive.url, KEY)
    assert finished(client.original("a.bin")).body == LARGE
    assert finished(client.original("b.bin")).status == 404
    eventually(lambda: not far.left(), "for the upload to leave nothing")
