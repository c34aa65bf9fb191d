"""What a worker cannot do, each tried out within the sandbox that workers run in."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from PIL import Image

from tests.client import Client
from tests.conftest import RunDaemon
from tests.daemon import KEY, descriptors, eventually
from tests.images import chart, encode, heic, jpeg, pdf
from tests.needs import lacking
from tests.tiffs import dng
from was_daemon.thumbnails import landlock, sandbox, seccomp

_MEMORY = 1 << 30
_PRISONER = """if True:
    import ctypes, json, mmap, os, resource, signal, socket, subprocess, sys, threading, time
    from was_daemon.thumbnails.sandbox import confine
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


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A key file beside a configuration."""
    path = tmp_path / "key"
    path.write_text("correct horse battery staple")
    return path


@pytest.fixture
def server() -> Iterator[int]:
    """A TCP port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


FILES = {
    "read a secret": "open(secret).read()",
    "read a secret through a link": "open(link).read()",
    "read a secret by a way of dots": "open('/usr/lib/../..' + secret).read()",
    "list a directory": "os.listdir(os.path.dirname(secret))",
    "read the environment of its parent": "open(f'/proc/{os.getppid()}/environ').read()",
    "read the memory of its parent": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "open the parent's files again": "open(f'/proc/{os.getppid()}/fd/1')",
    "read the users of this machine": "open('/etc/passwd').read()",
}
CHANGES = {
    "make a file": "open(secret + '2', 'w')",
    "make a file among the temporary ones": "open('/tmp/was-sandbox-test', 'w')",
    "overwrite a file": "open(secret, 'r+')",
    "append to a file": "open(secret, 'a')",
    "write among the modules": "open(task['library'], 'w')",
    "empty a file": "os.truncate(secret, 0)",
    "remove a file": "os.unlink(secret)",
    "rename a file": "os.rename(secret, secret + '2')",
    "make a directory": "os.mkdir(secret + '2')",
    "link to a file": "os.symlink(secret, secret + '2')",
    "link a file": "os.link(secret, secret + '2')",
    "let others read a file": "os.chmod(secret, 0o777)",
    "make a file older": "os.utime(secret, (0, 0))",
}
NETWORK = {
    "connect by TCP": "socket.create_connection(('127.0.0.1', server))",
    "listen by TCP": "socket.create_server(('127.0.0.1', 0))",
    "send by UDP": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', server))",
    "connect to a Unix socket": "socket.socket(socket.AF_UNIX).connect('/run/systemd/private')",
    "connect with a socket it has": "before[0].connect('/run/systemd/private')",
}
PROCESSES = {
    "start a program": "subprocess.run(['/bin/true'])",
    "become a program": "os.execv('/bin/true', ['true'])",
    "fork": "os.fork()",
    "send its parent a signal": "os.kill(os.getppid(), signal.SIGCONT)",
    "slow its parent down": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "limit its parent": "resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))",
    "lift its own limits": "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
}


@pytest.mark.parametrize("attempt", [*FILES, *CHANGES, *NETWORK, *PROCESSES])
def test_a_worker_cannot(attempt: str, secret: Path, server: int) -> None:
    link = secret.with_name("link")
    link.symlink_to(secret)
    code = {**FILES, **CHANGES, **NETWORK, **PROCESSES}[attempt]
    library = Path(sandbox.__file__).with_name("planted.py")
    outcome = try_in_the_sandbox(code, secret=secret, link=link, server=server, library=library)
    assert outcome == "PermissionError"
    assert secret.read_text() == "correct horse battery staple"
    assert secret.stat().st_mode & 0o077 == 0o044
    assert not library.exists()


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


def test_a_worker_dies_with_the_daemon() -> None:
    parent = f"""if True:
        import subprocess, sys
        child = "import was_daemon.thumbnails.sandbox as s; s.confine({_MEMORY}); print(flush=True); s.signal.pause()"
        process = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdout.readline()
        print(process.pid, flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        orphan = int(process.stdout.readline())
        process.kill()
    eventually(lambda: not is_alive(orphan), "for the worker to die")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_a_kernel_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandbox.missing() == []
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    assert [lack.split()[0] for lack in sandbox.missing()] == ["Landlock,", "seccomp"]


@pytest.mark.parametrize("version", range(1, landlock.version() + 1))
def test_kernels_with_an_older_landlock_do_what_they_can(version: int, secret: Path) -> None:
    code = f"""if True:
        from was_daemon.thumbnails import landlock, seccomp, sandbox
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
