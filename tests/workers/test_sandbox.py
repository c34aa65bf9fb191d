"""What a worker cannot do, each tried out within the sandbox that workers run in."""

import json
import os
import platform
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from PIL import Image
from twisted.internet.defer import Deferred

from tests.conftest import RunDaemon
from tests.support.client import Client
from tests.support.daemon import KEY, descriptors, eventually
from tests.support.forbidden import BY_SECCOMP, READING
from tests.support.images import chart, encode, heic, jpeg, pdf
from tests.support.needs import lacking
from tests.support.tiffs import dng
from was_daemon.workers import landlock, process, sandbox, seccomp
from was_daemon.workers.commands import Render

_MEMORY = 1 << 30
_PRISONER = """if True:
    import ctypes, json, mmap, os, resource, signal, socket, subprocess, sys, threading, time
    from was_daemon.workers.sandbox import confine
    task, before = json.loads(sys.argv[1]), socket.socketpair()
    confine(1 << 30)
    try:
        exec(sys.argv[2], {**globals(), **task})
    except OSError as error:
        print(type(error).__name__)
    except ValueError as error:  # Python's word for a limit that must not be lifted
        print("PermissionError" if "not allowed" in str(error) else error)
    else:
        print("done")
"""


@pytest.fixture(autouse=True)
def confinement() -> None:
    """What the sandbox is made of."""
    if missing := sandbox.missing():
        lacking(f"this machine lacks {missing}")


def try_in_the_sandbox(code: str, **names: Any) -> str:
    """What comes of `code` in a process that is confined as workers are: "done", or the name of an OSError."""
    arguments = [sys.executable, "-P", "-c", _PRISONER, json.dumps(names, default=str), code]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=60, env={"SECRET": "x"})
    return result.stdout.strip() or f"ended with {result.returncode}: {result.stderr}"


VERSIONS = range(landlock.version() + 1)
"""Of Landlock: the newest, which this kernel has, all older ones, and none."""


@attrs.frozen
class Scene:
    """What a worker that a file has taken over would like to get at."""

    directory: Path
    server: int
    letters: socket.socket
    victim: int
    before: tuple[object, ...]

    def names(self) -> dict[str, str | int]:
        """The words of `forbidden`."""
        files = {name: str(self.directory / name) for name in ("secret", "link", "mailbox")}
        return {**files, "library": str(_PLANTED), "server": self.server, "victim": self.victim}


_SECRET = "correct horse battery staple"
_PLANTED = Path(sandbox.__file__).with_name("planted.py")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("evil")
    (directory / "secret").write_text(_SECRET)
    os.utime(directory / "secret", (1e9, 1e9))
    (directory / "link").symlink_to(directory / "secret")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as letters,
        subprocess.Popen(["sleep", "600"]) as victim,
    ):
        letters.bind(str(directory / "mailbox"))
        letters.setblocking(False)
        yield Scene(directory, server.getsockname()[1], letters, victim.pid, state_of(victim.pid))
        victim.kill()


def state_of(pid: int) -> tuple[object, ...]:
    """What others may not change of a process."""
    affinity, scheduler = os.sched_getaffinity(pid), os.sched_getscheduler(pid)
    limit = resource.prlimit(pid, resource.RLIMIT_CORE)
    return is_alive(pid), os.getpriority(os.PRIO_PROCESS, pid), affinity, scheduler, limit


@pytest.fixture(scope="module")
def reports(scene: Scene) -> dict[int, dict[str, str]]:
    """What came of each act in a worker that a file has taken over, by the version of Landlock that confines it."""
    return {version: pytest_twisted.blockon(Deferred.fromCoroutine(misbehave(version, scene))) for version in VERSIONS}


async def misbehave(version: int, scene: Scene) -> dict[str, str]:
    """Give a worker of a kernel with that version of Landlock a file that tries every act; returns what it reports."""
    evil, report = scene.directory / "evil", scene.directory / "report"
    evil.write_text(json.dumps({"acts": {**READING, **BY_SECCOMP}, "names": scene.names()}))
    takeover = f"from tests.support.evil_codec import take_over; take_over({version}); "
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_BOOTSTRAP", takeover + process._BOOTSTRAP)
        worker = process.WorkerProcess(_MEMORY, lambda _: None)
    order = {"scale": 1, "format": "JPEG", "owner": "evil"}
    with evil.open("rb") as source, report.open("w+b") as target:
        files = [source.fileno(), target.fileno()]
        try:
            await worker.call(Render, files, 60.0, name="evil", outputs=[order], max_pixels=1)
        finally:
            await worker.end()
    found: dict[str, str] = json.loads(report.read_bytes())
    return found


@pytest.mark.parametrize("act", BY_SECCOMP)
def test_a_worker_cannot(act: str, reports: dict[int, dict[str, str]]) -> None:
    assert {version: report[act] for version, report in reports.items()} == dict.fromkeys(VERSIONS, "refused")


@pytest.mark.parametrize("act", READING)
def test_a_worker_within_landlock_cannot(act: str, reports: dict[int, dict[str, str]]) -> None:
    assert {version: reports[version][act] for version in VERSIONS[1:]} == dict.fromkeys(VERSIONS[1:], "refused")


@pytest.mark.usefixtures("reports")
def test_nothing_has_come_of_it(scene: Scene) -> None:
    assert state_of(scene.victim) == scene.before
    with pytest.raises(BlockingIOError):
        scene.letters.recv(1)
    secret = scene.directory / "secret"
    assert secret.read_text() == _SECRET
    assert (secret.stat().st_mode & 0o777, secret.stat().st_mtime) == (0o644, 1e9)
    assert {path.name for path in scene.directory.iterdir()} == {"secret", "link", "mailbox", "evil", "report"}
    assert not _PLANTED.exists()


ALLOWED = {
    "read a file it has open": "os.fdopen(os.dup(0), 'rb').read()",
    "write to a socket it has": "before[0].send(b'x')",
    "start a thread": "threading.Thread(target=print).start()",
    "ask for the time": "time.localtime()",
    "import what reads images": "__import__('pyvips'), __import__('pypdfium2'), __import__('pillow_heif')",
    "look for fonts": "os.path.isdir('/usr/share/fonts') and os.listdir('/usr/share/fonts')",
}


@pytest.mark.parametrize("need", ALLOWED)
def test_a_worker_can(need: str) -> None:
    assert try_in_the_sandbox(ALLOWED[need]).split() == ["done"]


def test_pdfs_are_read_where_no_memory_may_be_written_and_executed() -> None:
    # As with MemoryDenyWriteExecute= of systemd, and SELinux: libffi, by which PDFium calls Python, then needs a memfd.
    code = """if True:
        import ctypes, io, sys
        if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
            sys.exit("lacking")
        from was_daemon.imaging.render import Output, render
        from was_daemon.workers.sandbox import confine
        source = io.BytesIO(sys.stdin.buffer.read())
        confine(1 << 30)
        print(render(source, "a.pdf", [Output(50, "PNG", io.BytesIO(), "a.pdf")], 500_000_000) or "done")
    """
    result = subprocess.run([sys.executable, "-c", code], input=pdf(), capture_output=True)
    if result.stderr == b"lacking\n":
        lacking("this kernel has no PR_SET_MDWE")
    assert result.returncode == 0, result.stderr


def test_what_is_open_can_still_be_written_up_to_the_size_of_the_memory(tmp_path: Path) -> None:
    code = "os.pwrite(target, b'x', 0); os.pwrite(target, b'x', 1 << 30)"
    with (tmp_path / "target").open("wb") as target:
        arguments = [sys.executable, "-c", _PRISONER, json.dumps({"target": target.fileno()}), code]
        result = subprocess.run(arguments, capture_output=True, text=True, pass_fds=[target.fileno()])
    assert result.stdout.strip() == "OSError", result.stderr
    assert (tmp_path / "target").read_bytes() == b"x"


def test_a_call_of_another_architecture_ends_the_process() -> None:
    # 0x40000000 marks the calls of the x32 ABI, which has its own numbers for connect and execve.
    assert "ended with -31" in try_in_the_sandbox("ctypes.CDLL(None).syscall(0x40000000 + 39)")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are instructions of x86-64")
def test_a_call_of_32_bits_ends_the_process() -> None:
    code = """if True:
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex("b814000000" "cd80" "c3"))  # mov $getpid, %eax; int $0x80; ret
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    """
    # A kernel without such calls takes it for a fault.
    assert re.match("ended with -(31|11):", try_in_the_sandbox(code))


@pytest.mark.parametrize(
    "meanwhile",
    [
        "signal.pause()",
        "[signal.signal(each, signal.SIG_IGN) for each in (1, 2, 15)]; signal.pause()",
        "threading.Thread(target=time.sleep, args=[600]).start(); ctypes.CDLL(None).pthread_exit(None)",
    ],
    ids=["that waits", "that ignores signals", "whose first thread has ended"],
)
def test_a_worker_dies_with_the_daemon(meanwhile: str) -> None:
    child = f"""if True:
        import ctypes, signal, threading, time
        from was_daemon.workers.sandbox import confine
        confine({_MEMORY})
        print(flush=True)
        {meanwhile}
    """
    parent = f"""if True:
        import subprocess, sys
        child = [sys.executable, "-c", {child!r}]
        process = subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdout.readline()
        print(process.pid, flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        orphan = int(process.stdout.readline())
        assert is_alive(orphan)
        process.kill()
    eventually(lambda: not is_alive(orphan), "for the worker to die")


def is_alive(pid: int) -> bool:
    """Whether a thread of the process lives."""
    try:
        threads = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(thread.rpartition(")")[2].split()[0] not in "ZX" for thread in threads)


def test_what_a_kernel_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandbox.missing() == []
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    assert [lack.split()[0] for lack in sandbox.missing()] == ["Landlock,", "seccomp"]


@pytest.mark.parametrize("version", range(1, landlock.version() + 1))
def test_kernels_with_an_older_landlock_do_what_they_can(version: int, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("correct horse battery staple")
    code = f"""if True:
        from was_daemon.workers import landlock
        from was_daemon.workers import seccomp
        from was_daemon.workers import sandbox
        landlock.version, seccomp.is_available = lambda: {version}, lambda: False
        sandbox.confine({_MEMORY})
        try:
            open({str(secret)!r})
        except PermissionError:
            print("done")
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "done\n", result.stderr


# -- in a real daemon --------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_workers_of_a_daemon_are_confined_and_know_no_secrets(run_daemon: RunDaemon) -> None:
    words = {"ATTACHMENT_KEY": "correct horse", "AWS_SECRET_ACCESS_KEY": "battery staple", "SSH_AUTH_SOCK": "/nowhere"}
    daemon = run_daemon({"server": {"key": None}}, words)
    client = Client(daemon.url, words["ATTACHMENT_KEY"])
    for name, content in (("a.jpg", jpeg()), ("a.tif", encode(chart(), "TIFF"))):
        await client.store(name, content)
        assert (await client.thumbnail(name, 50)).status == 200
    assert daemon.workers()
    for pid in daemon.workers():
        process = Path(f"/proc/{pid}")
        status = dict(line.split(":\t") for line in (process / "status").read_text().splitlines() if ":\t" in line)
        assert (status["Seccomp"], status["NoNewPrivs"], int(status["CapEff"], 16)) == ("2", "1", 0)
        seen = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        assert not [word for word in words.values() if word.encode() in seen]
        assert re.fullmatch(rb"PYTHONPATH=[^\0]*\0", (process / "environ").read_bytes())
        opened = descriptors(pid)
        assert opened
        assert not [path for path in opened if path.startswith(str(daemon.directory))]
    assert "correct horse" not in subprocess.run(["ps", "-ef", "ww"], capture_output=True, text=True).stdout  # noqa: ASYNC221
    assert "This machine lacks" not in daemon.log()


@pytest_twisted.ensureDeferred
async def test_every_kind_of_file_is_read_within_the_sandbox(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    client = Client(daemon.url, KEY)
    big = encode(Image.new("RGB", (8000, 7000), "red"), "PNG")
    files = {"a.pdf": pdf(), "a.heic": heic(), "a.dng": dng(), "a.png": big, "a.jp2": encode(chart(), "JPEG2000")}
    for name, content in files.items():
        await client.store(name, content)
        assert max((await client.thumbnail(name, 60)).image().size) == 60, name


@pytest_twisted.ensureDeferred
async def test_a_link_to_another_place_made_while_the_daemon_runs_works_at_once(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    daemon = run_daemon({"collections": {"mode": "auto"}})
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", jpeg(), coll="Fishes")
    assert (await client.thumbnail("a.jpg", 50, coll="Fishes")).status == 200
    (tmp_path / "nas" / "originals").mkdir(parents=True)
    (tmp_path / "nas" / "originals" / "b.jpg").write_bytes(jpeg())
    (daemon.store / "Birds").symlink_to(tmp_path / "nas")
    assert (await client.thumbnail("b.jpg", 50, coll="Birds")).image().size == (50, 33)
    assert len(list((tmp_path / "nas" / "thumbnails").glob("*.jpg"))) == 1
