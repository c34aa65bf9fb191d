"""The SFTP store, against OpenSSH's server in both forms, a server without its extensions, and asyncssh's server."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import asyncssh
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from zope.interface.verify import verifyObject

from storage_plugins.sftp import SFTPOptions, SFTPStore, sftp
from tests.support import scripted_sftp
from tests.support.ports import free_port
from tests.support.scripted_sftp import Answer, Files, ScriptedSSH
from tests.support.sshd import SSHD, USER, make_key, public, require
from was_daemon.config.plugins import find_plugins
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import AssetNotFound, NoSpace, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.model.interfaces import IAssetReader, IAssetStore, IAssetStorePlugin
from was_daemon.model.keys import Kind, Layout
from was_daemon.stores import unfinished
from was_daemon.stores.sftp.reader import SFTPReader
from was_daemon.testing.contract import StoreContract, gather_all, original
from was_daemon.testing.streams import chunked, collect, deferred, payload, read_asset, read_reader

ensure = pytest_twisted.ensureDeferred
KEY = original("asset.jpg")


def options(server: SSHD | ScriptedSSH, root: Path | str, **changes: object) -> SFTPOptions:
    settings = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": USER if isinstance(server, SSHD) else scripted_sftp.USER,
        "path": str(root),
        "identity_file": server.user_key,
        "known_hosts": server.known_hosts,
        "timeout": 30.0,
    }
    return SFTPOptions(**(settings | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SSHD]:
    server = SSHD(tmp_path / "sshd")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def scripted(tmp_path: Path, root: Path) -> Iterator[ScriptedSSH]:
    server = ScriptedSSH(tmp_path / "scripted", root)
    server.start()
    yield server
    server.stop()


@pytest_twisted.async_yield_fixture
async def create() -> AsyncIterator[Callable[[SFTPOptions], SFTPStore]]:
    """Makes stores that are closed after the test."""
    stores = []

    def create(settings: SFTPOptions) -> SFTPStore:
        stores.append(sftp.create(settings))
        return stores[-1]

    yield create
    for store in stores:
        await store.close()


def hidden_files(root: Path) -> list[str]:
    """What uploads have left."""
    return [path.name for path in root.rglob(".*") if path.is_file()] + [path.name for path in root.rglob(".staging/*")]


# -- the contract, kept by every kind of server ------------------------------------------------------------------------


class OpenSSHContract(StoreContract):
    subsystem = "internal-sftp"
    timeout = 20.0

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHD]:
        server = SSHD(tmp_path_factory.mktemp("server") / "sshd", cls.subsystem)
        server.start()
        yield server
        server.stop()

    @pytest_twisted.async_yield_fixture
    async def store(self, server: SSHD, root: Path) -> AsyncIterator[SFTPStore]:
        store = sftp.create(options(server, root))
        yield store
        await store.close()
        assert hidden_files(root) == []

    @pytest.fixture
    def restart(self, server: SSHD) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            server.stop()
            server.start()

        return restart

    @pytest_twisted.async_yield_fixture
    async def down(self, server: SSHD, root: Path) -> AsyncIterator[SFTPStore]:
        store = sftp.create(options(server, root, port=free_port()))
        yield store
        await store.close()


class TestInternalSFTP(OpenSSHContract):
    pass


@pytest.mark.slow
@pytest.mark.slow  # the same code as internal-sftp, in a program of its own
class TestSFTPServerBinary(OpenSSHContract):
    subsystem = "sftp-server"
    big = 5_000_000
    many = 200


@pytest.mark.slow
class TestServerWithoutExtensions(OpenSSHContract):
    subsystem = "internal-sftp -P posix-rename,fsync,limits,statvfs"
    big = 5_000_000
    many = 200


@pytest.mark.slow
class TestServerThatIsNotOpenSSH(StoreContract):
    big = 5_000_000
    many = 200
    timeout = 20.0

    @pytest_twisted.async_yield_fixture
    async def store(self, scripted: ScriptedSSH) -> AsyncIterator[SFTPStore]:
        store = sftp.create(options(scripted, ""))
        yield store
        await store.close()

    @pytest.fixture
    def restart(self, scripted: ScriptedSSH) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            scripted.stop()
            scripted.start()

        return restart


# -- who is who --------------------------------------------------------------------------------------------------------


@ensure
async def test_an_unknown_host_key_is_refused_and_the_log_says_how_to_add_it(server, root, create, logged) -> None:
    server.known_hosts.write_text("")
    with pytest.raises(StoreUnavailable, match="not known"):
        await create(options(server, root)).check()
    assert f"ssh-keyscan -p {server.port} 127.0.0.1" in logged()
    assert f'fingerprint = "{server.fingerprint()}' in logged()


@ensure
async def test_a_changed_host_key_is_refused(server, root, create, logged) -> None:
    server.trust(make_key(server.directory / "other"))
    with pytest.raises(StoreUnavailable, match="has changed"):
        await create(options(server, root)).check()
    assert "ssh-keyscan" in logged()


@ensure
async def test_a_revoked_host_key_is_refused(server, root, create) -> None:
    known = server.known_hosts.read_text()
    server.known_hosts.write_text(known + "@revoked " + known)
    with pytest.raises(StoreUnavailable, match="is revoked"):
        await create(options(server, root)).check()


@ensure
async def test_a_pinned_host_key_needs_no_known_hosts(server, root, create) -> None:
    server.known_hosts.unlink()
    await create(options(server, root, fingerprint=server.fingerprint())).check()
    with pytest.raises(StoreUnavailable, match="pinned"):
        await create(options(server, root, fingerprint="SHA256:" + "x" * 43)).check()


@ensure
async def test_a_key_the_server_does_not_know_is_refused(server, root, create, logged) -> None:
    stranger = make_key(server.directory / "stranger")
    with pytest.raises(StoreUnavailable, match="refused the login"):
        await create(options(server, root, identity_file=SecretFile(stranger))).check()
    assert "refused the login" in logged()


@ensure
async def test_rsa_and_ecdsa_keys_log_in(server, root, create) -> None:
    for kind in ("rsa", "ecdsa"):
        key = make_key(server.directory / kind, kind)
        server.authorized_keys.write_text(public(key))
        await create(options(server, root, identity_file=SecretFile(key))).check()


@pytest.fixture
def agent(server, monkeypatch) -> Iterator[Path]:
    """An agent with two keys, of which the server knows the second, an RSA key."""
    require(shutil.which("ssh-agent"), "ssh-agent")
    socket = server.directory / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert agent.poll() is None
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        key = make_key(server.directory / "rsa", "rsa")
        server.authorized_keys.write_text(public(key))
        for added in (server.user_key, key):
            subprocess.run(["ssh-add", "-q", added], check=True)
        yield socket
    finally:
        agent.kill()
        agent.wait()


@ensure
async def test_the_agent_logs_in_with_any_of_its_keys(server, root, create, agent) -> None:
    await create(options(server, root, identity_file=None, agent=True)).check()


@ensure
async def test_no_agent_is_a_login_refused(server, root, create, monkeypatch, logged) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(StoreUnavailable, match="refused the login"):
        await create(options(server, root, identity_file=None, agent=True)).check()
    assert "no SSH agent" in logged()


@ensure
async def test_passwords_log_in_or_are_refused(scripted, create, tmp_path) -> None:
    await create(options(scripted, "", identity_file=None, password="secret")).check()
    (tmp_path / "password").write_text("secret\n")
    await create(options(scripted, "", identity_file=None, password_file=SecretFile(tmp_path / "password"))).check()
    with pytest.raises(StoreUnavailable, match="refused the login"):
        await create(options(scripted, "", identity_file=None, password="wrong")).check()


@ensure
async def test_files_that_cannot_be_read_are_named_in_the_log_only(server, root, create, logged) -> None:
    missing = SecretFile(server.directory / "missing")
    for name in ("identity_file", "password_file"):
        with pytest.raises(StoreUnavailable) as caught:
            await create(options(server, root, **{name: missing})).check()
        assert "missing" not in str(caught.value)
    assert str(missing) in logged()
    binary = SecretFile(server.directory / "binary")
    binary.write_bytes(b"\xff\x00")
    for name in ("identity_file", "password_file"):
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            await create(options(server, root, **{name: binary})).check()


def test_a_password_is_given_once_and_never_shown() -> None:
    with pytest.raises(ValueError, match="not both"):
        SFTPOptions(host="nas", user="me", password="secret", password_file=Path("file"))
    assert "secret" not in repr(SFTPOptions(host="nas", user="me", password="secret"))


# -- faults ------------------------------------------------------------------------------------------------------------


@ensure
async def test_a_server_killed_while_it_is_read_is_an_error_and_works_again(server, root, create) -> None:
    store, content = create(options(server, root)), payload(20_000_000)
    await store.write(KEY, chunked(content))
    reader = await store.open(KEY)
    async with aclosing(reader.read()) as chunks:
        await anext(chunks)
        server.stop()
        with pytest.raises(StoreUnavailable):
            async for _ in chunks:
                pass
    await reader.close()
    server.start()
    assert await eventually(lambda: read_asset(store, KEY)) == content


@ensure
async def test_a_server_killed_during_an_upload_leaves_the_old_content(server, root, create) -> None:
    store = create(options(server, root))
    await store.write(KEY, chunked(b"old"))

    async def upload() -> AsyncGenerator[bytes, None]:
        yield payload(3_000_000)
        server.stop()
        yield payload(3_000_000)

    with pytest.raises(StoreUnavailable):
        await store.write(KEY, upload())
    server.start()
    assert await eventually(lambda: read_asset(store, KEY)) == b"old"


@ensure
async def test_a_hung_server_is_a_time_out_in_any_request_and_works_again(server, root, create) -> None:
    store = create(options(server, root, timeout=2))
    await store.write(KEY, chunked(payload(10_000_000)))
    reader = await store.open(KEY)
    server.signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        calls = [store.stat(KEY), store.open(KEY), store.write(KEY, chunked(b"new")), read_reader(reader)]
        for call in [deferred(call) for call in calls]:
            with pytest.raises(StoreTimeout):
                await call
        assert time.monotonic() - started < 6
        with pytest.raises(StoreTimeout):  # the kernel accepts the connection, and nothing comes
            await eventually(lambda: store.stat(KEY), give_up=StoreTimeout)
    finally:
        server.signal(signal.SIGCONT)
    assert (await eventually(lambda: store.stat(KEY))).size == 10_000_000


@ensure
async def test_a_slow_source_is_no_time_out(server, root, create) -> None:
    store = create(options(server, root, timeout=1))

    async def slow() -> AsyncGenerator[bytes, None]:
        for _ in range(2):
            await deferLater(reactor, 1.3)
            yield b"bytes"

    assert (await store.write(KEY, slow())).size == 10


@ensure
async def test_an_idle_connection_that_died_is_noticed(server, root, create) -> None:
    store = create(options(server, root, timeout=1))
    await store.check()
    client = store._connections.connection
    server.signal(signal.SIGSTOP)
    try:
        await until(lambda: not client.connected)
    finally:
        server.signal(signal.SIGCONT)
    await eventually(store.check)


@ensure
async def test_a_server_that_only_reads_denies_permission(tmp_path, root, create) -> None:
    server = SSHD(tmp_path / "readonly", "internal-sftp -R")
    server.start()
    try:
        (root / "originals").mkdir()
        (root / "originals" / KEY.name).write_bytes(b"there")
        store = create(options(server, root))
        assert await read_asset(store, KEY) == b"there"
        for call in (lambda: store.write(KEY, chunked(b"new")), lambda: store.delete(KEY), store.check):
            with pytest.raises(StoreUnavailable, match=r"permission|written"):
                await call()
    finally:
        server.stop()


@ensure
async def test_a_missing_root_is_not_made(server, root, create) -> None:
    store = create(options(server, root / "unmounted"))
    for call in (lambda: store.write(KEY, chunked(b"new")), store.check):
        with pytest.raises(StoreUnavailable, match="does not exist"):
            await call()
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("subsystem", [OpenSSHContract.subsystem, TestServerWithoutExtensions.subsystem])
@ensure
async def test_without_its_root_no_asset_is_said_to_be_missing(tmp_path, root, create, subsystem) -> None:
    server = SSHD(tmp_path / "sshd", subsystem)
    server.start()
    try:
        store = create(options(server, root / "unmounted"))
        for call in (lambda: store.stat(KEY), lambda: store.open(KEY), lambda: store.delete(KEY)):
            with pytest.raises(StoreUnavailable, match="does not exist"):
                await call()
        (root / "volume").mkdir()
        (root / "unmounted").symlink_to("volume")
        for call in (lambda: store.stat(KEY), lambda: store.open(KEY), lambda: store.delete(KEY)):
            with pytest.raises(AssetNotFound):
                await call()
    finally:
        server.stop()


@ensure
async def test_a_root_that_goes_away_is_noticed_after_some_seconds(server, root, create) -> None:
    store = create(options(server, root / "volume"))
    (root / "volume").mkdir()
    with pytest.raises(AssetNotFound):
        await store.stat(KEY)
    (root / "volume").rmdir()
    clock = store._tree._clock = Clock()
    clock.advance(reactor.seconds() + 1)
    with pytest.raises(AssetNotFound):
        await store.stat(KEY)
    clock.advance(5)
    with pytest.raises(StoreUnavailable, match="does not exist"):
        await store.stat(KEY)


@ensure
async def test_the_log_of_a_quiet_day_is_empty(server, root, create, logged) -> None:
    store = create(options(server, root))
    await store.check()
    await store.write(KEY, chunked(payload(3_000_000)))
    await read_asset(store, KEY)
    await collect(store.list("", Kind.ORIGINAL))
    await store.delete(KEY)
    assert logged() == ""


@ensure
async def test_a_refused_key_is_told_the_server_in_a_word_and_the_operator_in_a_line(
    server, root, create, logged
) -> None:
    server.known_hosts.write_text("")
    with pytest.raises(StoreUnavailable):
        await create(options(server, root)).check()
    lines = logged().splitlines()
    assert len(lines) == 1, lines
    assert "ssh-keyscan" in lines[0]
    assert "Failure" not in (server.directory / "log").read_text()


@ensure
async def test_a_server_without_sftp_is_a_clear_error(tmp_path, root, create) -> None:
    server = SSHD(tmp_path / "none", "/bin/false")
    server.start()
    try:
        with pytest.raises(StoreUnavailable):
            await create(options(server, root)).check()
    finally:
        server.stop()


class FullFiles(Files):
    """A disk with 1,000 bytes left."""

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        return asyncssh.SFTPVFSAttrs(bsize=4096, frsize=1, bfree=1000, bavail=1000)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        raise Answer(asyncssh.FX_FAILURE)


@ensure
async def test_a_full_disk_is_no_space(tmp_path, root, create) -> None:
    server = ScriptedSSH(tmp_path / "full", root, FullFiles)
    server.start()
    try:
        with pytest.raises(NoSpace):
            await create(options(server, "")).write(KEY, chunked(payload(100_000)))
    finally:
        server.stop()


@ensure
async def test_a_file_that_becomes_shorter_is_an_error(server, root, create) -> None:
    store = create(options(server, root))
    await store.write(KEY, chunked(payload(1_000_000)))
    reader = await store.open(KEY)
    os.truncate(root / "originals" / KEY.name, 500_000)
    with pytest.raises(StoreFailed, match="shorter"):
        await read_reader(reader)
    await reader.close()


# -- connections and handles -------------------------------------------------------------------------------------------


@ensure
async def test_everybody_shares_one_connection(server, root, create) -> None:
    store = create(options(server, root))
    await gather_all([deferred(store.write(original(f"{number}"), chunked(b"x"))) for number in range(16)])
    assert (server.directory / "log").read_text().count("Accepted publickey") == 1


@ensure
async def test_the_session_keys_are_renewed_in_the_middle_of_a_transfer(tmp_path, root, create) -> None:
    server = SSHD(tmp_path / "rekey", settings="RekeyLimit 1M")
    server.start()
    try:
        store, content = create(options(server, root)), payload(10_000_000)
        await store.write(KEY, chunked(content))
        assert await read_asset(store, KEY) == content
    finally:
        server.stop()


@ensure
async def test_servers_without_aes_gcm_are_served_too(tmp_path, root, create) -> None:
    server = SSHD(tmp_path / "ctr", settings="Ciphers aes256-ctr\nMACs hmac-sha2-512")
    server.start()
    try:
        store, content = create(options(server, root)), payload(1_000_000)
        await store.write(KEY, chunked(content))
        assert await read_asset(store, KEY) == content
    finally:
        server.stop()


@ensure
async def test_cancelled_calls_leave_no_file_open_at_the_server(scripted, root, create) -> None:
    store = create(options(scripted, ""))
    await store.write(KEY, chunked(payload(300_000)))
    for _ in range(10):
        for call in (store.open(KEY), store.write(KEY, chunked(payload(300_000))), read_asset(store, KEY)):
            running = deferred(call)
            await deferLater(reactor, 0)
            running.cancel()
            done = await running.addErrback(lambda failure: failure.trap(CancelledError))
            if isinstance(done, SFTPReader):
                # It was open before it could be cancelled.
                await done.close()
    await store.check()
    await until(lambda: scripted.files.open_files == set())
    await until(lambda: list(root.rglob(".staging/*")) == [])


@ensure
async def test_a_closed_reader_never_reads_what_the_server_opens_next(server, root, create) -> None:
    store = create(options(server, root))
    await store.write(KEY, chunked(b"a" * 8_000_000))
    await store.write(original("other"), chunked(b"b" * 8_000_000))
    reader = await store.open(KEY)
    async with aclosing(reader.read()) as chunks:
        await anext(chunks)
        await reader.close()
        other = await store.open(original("other"))
        with pytest.raises(StoreFailed):
            await anext(chunks)
    await other.close()


@ensure
async def test_a_store_that_is_closed_while_it_connects_says_so(server, root, create) -> None:
    store = create(options(server, root))
    waiting = deferred(store.stat(KEY))
    await store.close()
    with pytest.raises(StoreUnavailable):
        await waiting


# -- what is on the server's disk --------------------------------------------------------------------------------------


@ensure
async def test_files_put_there_by_hand_are_assets_and_links_and_directories_are_not(server, root, create) -> None:
    originals = root / "originals"
    (originals / "directory").mkdir(parents=True)
    (originals / "by hand.jpg").write_bytes(b"by hand")
    (originals / "link.jpg").symlink_to("/etc/passwd")
    (originals / ".hidden").write_bytes(b"hidden")
    (originals / os.fsdecode(b"latin-\xe9.jpg")).write_bytes(b"no UTF-8")
    store = create(options(server, root))
    assert [key.name for key in await collect(store.list("", Kind.ORIGINAL))] == ["by hand.jpg"]
    assert await read_asset(store, original("by hand.jpg")) == b"by hand"
    for name in ("link.jpg", "directory"):
        with pytest.raises(AssetNotFound):
            await store.open(original(name))


@ensure
async def test_the_sharded_layout_is_listed_by_shard(server, root, create) -> None:
    store = create(options(server, root, layout=Layout.SHARDED))
    names = ["abcd.jpg", "abce.jpg", "abx.jpg", "a.jpg", "ab.jpg"]
    for name in names:
        await store.write(original(name, "Fish"), chunked(name.encode()))
    assert (root / "Fish/originals/ab/cd/abcd.jpg").exists()
    for prefix in ("", "a", "ab", "abc", "abcd", "abcd.", "ab.j", "x"):
        found = sorted(key.name for key in await collect(store.list("Fish", Kind.ORIGINAL, prefix)))
        assert found == sorted(name for name in names if name.startswith(prefix)), prefix
    for name in names:
        await store.delete(original(name, "Fish"))


def marked(digit: str) -> str:
    """The name of an upload that some daemon began."""
    return f"was-{digit * 32}-{digit * 32}"


@pytest.mark.parametrize("subsystem", [OpenSSHContract.subsystem, TestServerWithoutExtensions.subsystem])
@ensure
async def test_what_a_daemon_left_goes_after_a_day_and_nothing_else(
    tmp_path, root, create, monkeypatch, subsystem
) -> None:
    monkeypatch.setattr(unfinished, "_SWEEP_SECONDS", 0)
    staging, elsewhere = root / "originals" / ".staging", tmp_path / "elsewhere"
    for directory in (staging / marked("d"), staging / "directory", elsewhere):
        directory.mkdir(parents=True)
    ours, new = staging / marked("a"), staging / marked("b")
    foreign = [
        *(
            staging / name
            for name in ("notes.txt", "e" * 32, f"x{marked('e')}", f"{marked('e')}x", ".hidden", "\u00e9")
        ),
        *(directory / marked("f") for directory in (staging / marked("d"), staging / "directory", elsewhere)),
        root / "originals" / marked("f"),
        root / marked("f"),
    ]
    for path in (ours, new, *foreign):
        path.write_bytes(b"some bytes")
    links = [staging / marked("1"), staging / marked("2"), root / "originals" / "link"]
    for link, target in zip(links, (elsewhere / marked("f"), elsewhere, elsewhere), strict=True):
        link.symlink_to(target)
    for path in (ours, *foreign, *links, *(each for each in staging.iterdir() if each.is_dir())):
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    server = SSHD(tmp_path / "sshd", subsystem)
    server.start()
    try:
        store = create(options(server, root))
        for _ in range(24):
            await store.write(KEY, chunked(b"bytes"))
        await until(lambda: not ours.exists())
        await store.check()
        await store.clean()
    finally:
        server.stop()
    assert all(path.is_file() for path in (new, *foreign))
    assert all(link.is_symlink() for link in links)


@ensure
async def test_nothing_is_removed_by_way_of_a_link(server, root, create, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(unfinished, "_SWEEP_SECONDS", 0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "originals").mkdir()
    (root / "originals" / ".staging").symlink_to(elsewhere)
    left = elsewhere / marked("a")
    left.write_bytes(b"in a place that is not the store's")
    os.utime(left, (1_000_000_000, 1_000_000_000))
    below = root / "thumbnails" / ".staging" / marked("a")
    below.parent.mkdir(parents=True)
    below.write_bytes(b"half a thumbnail")
    os.utime(below, (1_000_000_000, 1_000_000_000))
    store = create(options(server, root))
    for _ in range(3):
        await store.write(KEY, chunked(b"bytes"))
        await store.write(KEY.thumbnail(100), chunked(b"bytes"))
    await until(lambda: not below.exists())
    assert left.exists()


@ensure
async def test_a_version_that_stepped_aside_before_a_crash_is_put_back(tmp_path, root, create) -> None:
    server = SSHD(tmp_path / "plain", TestServerWithoutExtensions.subsystem)
    server.start()
    try:
        store = create(options(server, root))
        await store.write(KEY, chunked(b"the only copy"))
        renames: list[bytes] = []
        client = store._connections.connection
        rename = client.rename

        def lose_connection(old: bytes, new: bytes) -> Deferred[object]:
            renames.append(new)
            if len(renames) == 3:  # 1: refused, the name is taken; 2: the old version steps aside
                client.abort()
            return rename(old, new)

        client.rename = lose_connection
        with pytest.raises(StoreUnavailable):
            await store.write(KEY, chunked(b"never arrives"))
        assert not (root / "originals" / KEY.name).exists()
        assert await read_asset(create(options(server, root)), KEY) == b"the only copy"
    finally:
        server.stop()


async def until(reached: Callable[[], object]) -> None:
    """Wait until `reached` says so."""
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        await deferLater(reactor, 0.01)


async def eventually(call: Callable[[], Awaitable[object]], give_up: type[Exception] = AssertionError) -> object:
    """What `call` returns once the store has found its server again, however many attempts that takes."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return await call()
        except give_up:
            raise
        except (StoreUnavailable, StoreTimeout):
            assert time.monotonic() < deadline
            await deferLater(reactor, 0.02)


@ensure
async def test_the_plugin_and_what_it_makes_provide_the_interfaces(server, root, create) -> None:
    verifyObject(IAssetStorePlugin, sftp)
    assert find_plugins()["sftp"] is sftp
    store = create(options(server, root))
    verifyObject(IAssetStore, store)
    await store.write(KEY, chunked(b"bytes"))
    reader = await store.open(KEY)
    verifyObject(IAssetReader, reader)
    await reader.close()
