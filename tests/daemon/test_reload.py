"""A reload by SIGHUP: the new configuration is followed from the next request on, and nobody is disturbed."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.daemon.test_stop import SIZE, accepts, content, download, get, put, upload
from tests.support.client import Client, Connection
from tests.support.daemon import BIN, KEY, Daemon, clean_environment, descriptors, eventually
from tests.support.gated import CLOSED, Gate
from tests.support.images import photograph
from tests.support.ports import free_port
from tests.support.sshd import SSHD, USER

DONE = "The configuration was read again"
OTHER_KEY = "another key"


def reload(daemon: Daemon, config: dict[str, Any]) -> None:
    """Give the daemon another configuration, and wait until it is in use."""
    daemon.write_config(config)
    hang_up(daemon, DONE)


def hang_up(daemon: Daemon, line: str) -> None:
    """Send SIGHUP, and wait for a line in the log."""
    before = daemon.log().count(line)
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: daemon.log().count(line) > before, f"for the log to say {line}")


@pytest_twisted.ensureDeferred
async def test_a_collection_is_added_without_a_connection_being_dropped(run_daemon: RunDaemon) -> None:
    fishes = {"KUFish": {"directory": "Ichthyology"}}
    daemon = run_daemon({"collections": {"mode": "map", "map": fishes}})
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", b"a fish", "KUFish")
    with client.connect() as connection:
        get(connection, "/fileget?filename=a.jpg&type=O&coll=KUFish")
        assert connection.answer().body == b"a fish"
        assert (await client.original("a.jpg", coll="KUBirds")).status == 404
        reload(daemon, {"collections": {"mode": "map", "map": {**fishes, "KUBirds": {"directory": "Ornithology"}}}})
        await client.store("a.jpg", b"a bird", "KUBirds")
        get(connection, "/fileget?filename=a.jpg&type=O&coll=KUFish")
        assert connection.answer().body == b"a fish"
        get(connection, "/fileget?filename=a.jpg&type=O&coll=KUBirds")
        assert connection.answer().body == b"a bird"


@pytest_twisted.ensureDeferred
async def test_requests_under_way_finish_on_the_store_they_began_with(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    data = content()
    put(daemon, "a.jpg", data)
    moved = {"main": {"plugin": "filesystem", "path": str(daemon.directory / "moved")}}
    with download(daemon, "a.jpg") as downloading, upload(daemon, "b.jpg", data) as (uploading, rest):
        reload(daemon, {"stores": moved})
        assert (await Client(daemon.url, KEY).original("a.jpg")).status == 404
        uploading.send(rest)
        assert uploading.answer().body == b"Ok."
        assert downloading.read(len(data)) == data
        get(downloading, "/fileget?filename=a.jpg&type=O")
        assert downloading.answer().status == 404
    assert (daemon.store / "originals" / "b.jpg").read_bytes() == data


@pytest_twisted.ensureDeferred
async def test_a_new_key_in_the_same_file_counts_at_once(run_daemon: RunDaemon, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    config = {"server": {"key": None, "key_file": str(key_file)}}
    daemon = run_daemon(config)
    old, new = Client(daemon.url, KEY), Client(daemon.url, OTHER_KEY)
    await old.store("a.jpg", b"content")
    assert (await new.delete("a.jpg")).status == 403
    key_file.write_text(OTHER_KEY)
    hang_up(daemon, DONE)
    assert (await old.delete("a.jpg")).status == 403
    assert (await new.delete("a.jpg")).status == 200


@pytest_twisted.ensureDeferred
async def test_with_mistakes_the_old_configuration_stays_and_the_log_names_them_all(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", b"content")
    daemon.write_config({"server": {"max_upload": "many", "key": OTHER_KEY}, "thumbnails": {"workers": 0}})
    hang_up(daemon, "thumbnails.workers: must be at least 1, got 0")
    assert 'server.max_upload: expected a size such as "4 GiB", got "many"' in daemon.log()
    assert DONE not in daemon.log()
    daemon.config_file.write_text("[server")
    hang_up(daemon, "the old one stays in use")
    daemon.config_file.unlink()
    hang_up(daemon, "no such file or directory")
    assert (await client.original("a.jpg")).body == b"content"
    assert (await client.delete("a.jpg")).status == 200


@pytest_twisted.ensureDeferred
async def test_limits_change(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    client = Client(daemon.url, KEY)
    put(daemon, "a.jpg", photograph((400, 300)))
    assert (await client.thumbnail("a.jpg", 200)).status == 200
    reload(daemon, {"server": {"max_upload": 100}, "thumbnails": {"max_scale": 123}})
    assert (await client.thumbnail("a.jpg", 200)).status == 400
    assert (await client.thumbnail("a.jpg", 123)).status == 200
    assert (await client.upload_like_specify7("b.jpg", bytes(101))).status == 413


def test_limits_of_connections_change_for_those_to_come(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    client = Client(daemon.url, KEY)
    with client.connect() as first, client.connect() as second:
        for connection in (first, second):
            get(connection, "/")
            assert connection.answer().status == 200
        reload(daemon, {"limits": {"connections_per_address": 1}})
        with client.connect() as third, client.connect() as fourth:
            for connection in (first, second, third):
                get(connection, "/")
                assert connection.answer().status == 200
            assert fourth.answer().status == 503
    eventually(lambda: client.raw(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n").status == 200, "for all to be gone")
    with client.connect() as fifth, client.connect() as sixth:
        get(fifth, "/")
        assert fifth.answer().status == 200
        assert sixth.answer().status == 503


def test_a_change_of_listen_is_said_to_need_a_restart(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    port = free_port()
    for _ in range(2):
        daemon.write_config({"server": {"listen": [f"tcp:{port}:interface=127.0.0.1"]}})
        hang_up(daemon, "A change of server.listen needs a restart")
    with pytest.raises(ConnectionRefusedError), Connection(("127.0.0.1", port)):
        pass
    assert Client(daemon.url, KEY).raw(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n").status == 200


@pytest_twisted.ensureDeferred
async def test_workers_are_kept_unless_their_settings_change(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"thumbnails": {"workers": 1}})
    client = Client(daemon.url, KEY)
    put(daemon, "a.jpg", photograph((400, 300)))
    assert (await client.thumbnail("a.jpg", 10)).status == 200
    workers = daemon.workers()
    reload(daemon, {"thumbnails": {"workers": 1}, "server": {"max_upload": 100}})
    assert (await client.thumbnail("a.jpg", 11)).status == 200
    assert daemon.workers() == workers
    reload(daemon, {"thumbnails": {"workers": 1, "timeout": 31}})
    eventually(lambda: not set(workers) & set(daemon.workers()), "for the old worker to end")
    assert (await client.thumbnail("a.jpg", 12)).status == 200


def test_a_store_that_is_gone_from_the_configuration_is_closed_after_its_last_request(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    put(daemon, "a.jpg", content())
    eventually(lambda: is_used(daemon.store), "for the store to be opened")
    with download(daemon, "a.jpg") as downloading:
        for name in ("new", "newer"):
            path = daemon.directory / name
            reload(daemon, {"stores": {"main": {"plugin": "filesystem", "path": str(path)}}})
            eventually(lambda path=path: is_used(path), "for the new store to be opened")
        assert is_used(daemon.store)
        assert len(downloading.read(SIZE)) == SIZE
    eventually(lambda: not is_used(daemon.store), "for the store to be closed")
    assert is_used(daemon.directory / "newer")
    assert not is_used(daemon.directory / "new")


def is_used(store: Path) -> bool:
    """Whether a daemon has this store open."""
    return any((store / ".daemons").glob("*"))


@pytest_twisted.ensureDeferred
async def test_an_upload_and_a_delete_of_one_key_exclude_each_other_across_a_reload(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    gate = Gate(tmp_path, "publishing")
    daemon = run_daemon(gate.config(files))
    client = Client(daemon.url, KEY)
    form = client.specify7_form("a.jpg")
    with client.connect() as uploading, client.connect() as deleting:
        uploading.send(form.head(7) + form.around(b"content"))
        eventually(lambda: CLOSED in daemon.log(), "for the upload to be published")
        reload(daemon, {"stores": {"main": {"plugin": "filesystem", "path": str(files)}}})
        body = f"filename=a.jpg&token={client.token('a.jpg')}".encode()
        head = f"POST /filedelete HTTP/1.1\r\nHost: was\r\nContent-Length: {len(body)}\r\n\r\n"
        deleting.send(head.encode() + body)
        # The delete has arrived when a later request is answered.
        assert (await client.get("/")).status == 200
        gate.open()
        assert uploading.answer().body == b"Ok."
        assert deleting.answer().body == b"Ok."
    assert not (files / "originals" / "a.jpg").exists()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[SSHD]:
    server = SSHD(tmp_path / "sshd")
    server.start()
    yield server
    server.stop()


@pytest_twisted.ensureDeferred
async def test_a_connection_to_a_server_is_kept_while_its_settings_and_secrets_stay_the_same(
    run_daemon: RunDaemon, sshd: SSHD, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    nas = {
        "plugin": "sftp",
        "host": "127.0.0.1",
        "port": sshd.port,
        "user": USER,
        "path": str(files),
        "identity_file": str(sshd.user_key),
        "known_hosts": str(sshd.known_hosts),
    }
    daemon = run_daemon({"stores": {"nas": nas}})
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", b"content")
    connections = ports_to(daemon, sshd.port)
    reload(daemon, {"stores": {"nas": nas}, "server": {"max_upload": 100}})
    assert (await client.original("a.jpg")).body == b"content"
    assert ports_to(daemon, sshd.port) == connections
    # The same key in a new file: whoever exchanges a secret replaces the file.
    other = sshd.user_key.with_name("other")
    other.write_bytes(sshd.user_key.read_bytes())
    other.chmod(0o600)
    other.rename(sshd.user_key)
    hang_up(daemon, DONE)
    eventually(lambda: not connections & ports_to(daemon, sshd.port), "for the old connection to be closed")
    assert (await client.original("a.jpg")).body == b"content"


def ports_to(daemon: Daemon, port: int) -> set[str]:
    """The daemon's ends of its connections to a port of this machine."""
    found = set()
    sockets = set(descriptors(daemon.pid))
    for line in Path(f"/proc/{daemon.pid}/net/tcp").read_text().splitlines()[1:]:
        _number, local, remote, _state, *_counts, inode = line.split()[:10]
        if remote.endswith(f":{port:04X}") and f"socket:[{inode}]" in sockets:
            found.add(local)
    return found


def test_in_a_terminal_a_hangup_is_a_reload_unless_the_terminal_is_gone(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    master, slave = os.openpty()
    process = daemon.launch(slave)
    os.close(slave)
    try:
        eventually(lambda: accepts(daemon), "for the daemon to listen")
        hang_up(daemon, DONE)
        os.close(master)
        assert process.wait(30) == 0
    finally:
        daemon.kill()
    assert "SIGHUP: the daemon stops" in daemon.log()


def test_a_relative_path_of_the_configuration_holds_wherever_twistd_goes(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    daemon = Daemon(tmp_path)
    pid_file, log = elsewhere / "twistd.pid", elsewhere / "twistd.log"
    options = [f"--rundir={elsewhere}", f"--pidfile={pid_file}", f"--logfile={log}"]
    command = [BIN / "twistd", *options, "was", "--config=was.toml"]
    subprocess.run(command, cwd=tmp_path, env=clean_environment({"TMPDIR": str(tmp_path)}), check=True)
    pid = int(eventually(lambda: pid_file.exists() and pid_file.read_text(), "for the process number"))
    try:
        eventually(lambda: log.exists() and "AssetSite starting" in log.read_text(), "for the daemon to run")
        os.kill(pid, signal.SIGHUP)
        eventually(lambda: DONE in log.read_text(), "for the reload")
        assert Client(daemon.url, KEY).raw(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n").status == 200
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not pid_file.exists(), "for the daemon to end")
