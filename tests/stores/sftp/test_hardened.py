"""Servers that accept few algorithms, keys in all formats, and certificates of servers and users."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import pytest_twisted
from asyncssh import kex_dh
from asyncssh.kex import get_kex_algs
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from storage_plugins.sftp import SFTPOptions, SFTPStore, sftp
from tests.support import scripted_sftp
from tests.support.scripted_sftp import ScriptedSSH
from tests.support.slow import slow_after
from tests.support.sshd import SSHD, USER, make_key, public
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import StoreUnavailable
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, payload, read_asset

pytestmark = pytest.mark.slow

ensure = pytest_twisted.ensureDeferred
KEY = original("asset.jpg")
StoreOn = Callable[..., SFTPStore]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SSHD]:
    """Not started: tests change its configuration before."""
    server = SSHD(tmp_path / "sshd")
    yield server
    server.stop()


@pytest_twisted.async_yield_fixture
async def store_on(root: Path) -> AsyncIterator[StoreOn]:
    stores = []

    def make(server: SSHD | ScriptedSSH, **changes: Any) -> SFTPStore:
        settings = {
            "host": "127.0.0.1",
            "port": server.port,
            "user": USER if isinstance(server, SSHD) else scripted_sftp.USER,
            "path": str(root) if isinstance(server, SSHD) else "",
            "identity_file": server.user_key,
            "known_hosts": server.known_hosts,
        }
        stores.append(sftp.create(SFTPOptions(**(settings | changes))))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


def run(*command: str | Path) -> None:
    """Run a command to its end."""
    subprocess.run(command, check=True, capture_output=True)


def start(server: SSHD, settings: str) -> None:
    """Start `server` with further lines of configuration; skips the test where it does not know them."""
    server.config.write_text(server.config.read_text() + settings + "\n")
    tried = subprocess.run([server.binary, "-t", "-f", server.config], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this sshd has none of that: {tried.stderr.strip()}")
    server.start()


HARDENED = [
    "MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com\nCiphers aes256-ctr",
    "MACs umac-128-etm@openssh.com\nCiphers aes128-ctr",
    "MACs hmac-sha2-512-etm@openssh.com\nCiphers aes256-gcm@openssh.com",
    "MACs hmac-sha1\nCiphers aes128-gcm@openssh.com",
    "Ciphers chacha20-poly1305@openssh.com",
    "KexAlgorithms diffie-hellman-group14-sha256",
    "KexAlgorithms diffie-hellman-group16-sha512",
    "KexAlgorithms curve25519-sha256",
    "KexAlgorithms mlkem768x25519-sha256",
    "HostKeyAlgorithms ssh-ed25519\nPubkeyAcceptedAlgorithms ssh-ed25519",
]


@pytest.mark.parametrize("settings", slow_after(4, HARDENED), ids=lambda settings: settings.replace("\n", ", "))
@ensure
async def test_a_hardened_server_keeps_assets(server, store_on, settings) -> None:
    start(server, settings)
    store, content = store_on(server), payload(300_000)
    await store.write(KEY, chunked(content))
    assert await read_asset(store, KEY) == content


@ensure
async def test_a_post_quantum_key_exchange_is_agreed_on(tmp_path, root, store_on) -> None:
    server = ScriptedSSH(tmp_path / "scripted", root, kex_algs=["mlkem768x25519-sha256"])
    server.start()
    try:
        await store_on(server).check()
    finally:
        server.stop()


@ensure
async def test_the_key_exchange_is_strict(server, store_on) -> None:
    start(server, "LogLevel DEBUG3")
    await store_on(server).check()
    log = (server.directory / "log").read_text()
    if "strict" not in log:
        pytest.skip("this sshd knows no strict key exchange")
    assert "kex-strict-c-v00@openssh.com" in log


@ensure
async def test_what_cannot_be_agreed_on_is_logged_with_the_algorithms_of_both_sides(server, store_on, logged) -> None:
    start(server, "KexAlgorithms sntrup761x25519-sha512@openssh.com")
    if b"sntrup761x25519-sha512@openssh.com" in get_kex_algs():
        pytest.skip("liboqs is there, which has it")
    with pytest.raises(StoreUnavailable, match="agreed on"):
        await store_on(server).check()
    assert "curve25519-sha256" in logged()
    assert "received sntrup761x25519-sha512@openssh.com" in logged()


@pytest.mark.parametrize(
    "command",
    [
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out"],
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"],
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"],
        ["ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f"],
        ["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PKCS8", "-N", "", "-f"],
    ],
    ids=["PKCS#8 ed25519", "PKCS#8 RSA", "PKCS#8 ECDSA", "PEM RSA", "PKCS#8 ECDSA of ssh-keygen"],
)
@ensure
async def test_private_keys_are_read_in_every_format(server, store_on, tmp_path, command) -> None:
    key = tmp_path / "key"
    run(*command, key)
    server.authorized_keys.write_text(asyncssh.read_private_key(key).export_public_key().decode())
    server.start()
    await store_on(server, identity_file=SecretFile(key)).check()


@ensure
async def test_a_key_with_a_passphrase_is_refused_and_not_quoted(server, store_on, tmp_path, logged) -> None:
    key = tmp_path / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "passphrase", "-f", key)
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await store_on(server, identity_file=SecretFile(key)).check()
    assert "it has a passphrase" in logged()
    assert key.read_text().splitlines()[1] not in logged()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-MAC: 4711\n", "format of PuTTY"),
        ("{public}", "it is a public key"),
        ("4711", "it is no private key"),
        ("", "it is no private key"),
    ],
)
@ensure
async def test_an_identity_file_that_is_no_private_key_is_called_what_it_is(
    server, store_on, tmp_path, logged, content, told
) -> None:
    key = tmp_path / "key"
    key.write_text(content.format(public=server.user_key.with_suffix(".pub").read_text()))
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await store_on(server, identity_file=SecretFile(key)).check()
    assert told in logged()
    assert "4711" not in logged()


@ensure
async def test_a_known_hosts_file_that_cannot_be_read_is_named(server, store_on, tmp_path, logged) -> None:
    server.start()
    with pytest.raises(StoreUnavailable, match="host keys of stores cannot be read"):
        await store_on(server, known_hosts=tmp_path).check()
    assert f"the known_hosts file {tmp_path} cannot be read: Is a directory" in logged()


def sign(authority: Path, key: Path, *options: str) -> None:
    """Put a certificate of `authority` beside `key`."""
    run("ssh-keygen", "-q", "-s", authority, "-I", "test", *options, f"{key}.pub")


@ensure
async def test_a_certificate_beside_the_identity_file_logs_in(server, store_on, tmp_path) -> None:
    authority = make_key(tmp_path / "authority")
    server.authorized_keys.write_text("")
    sign(authority, server.user_key, "-n", USER)
    start(server, f"TrustedUserCAKeys {authority}.pub")
    await store_on(server).check()


@ensure
async def test_a_damaged_certificate_does_not_keep_the_key_from_logging_in(server, store_on, logged) -> None:
    server.user_key.with_name("user_key-cert.pub").write_text("no certificate")
    server.start()
    await store_on(server).check()
    assert "certificate" in logged()


@pytest.fixture
def certified(server: SSHD, tmp_path: Path) -> Path:
    """The authority that has signed the host key of `server`, which is running."""
    authority = make_key(tmp_path / "authority")
    sign(authority, server.host_key, "-h", "-n", "127.0.0.1,localhost")
    start(server, f"HostCertificate {server.host_key}-cert.pub")
    return authority


@pytest.mark.parametrize("pattern", ["[127.0.0.1]:{port}", "127.0.0.1", "*", "127.0.0.*,!127.0.0.2", "[127.0.0.*]:*"])
@ensure
async def test_the_certificate_of_a_known_authority_is_accepted(server, store_on, certified, pattern) -> None:
    server.known_hosts.write_text(f"@cert-authority {pattern.format(port=server.port)} {public(certified)}\n")
    await store_on(server).check()


@ensure
async def test_a_certificate_for_another_name_is_refused(server, store_on, tmp_path) -> None:
    authority = make_key(tmp_path / "authority")
    sign(authority, server.host_key, "-h", "-n", "elsewhere.example.org")
    start(server, f"HostCertificate {server.host_key}-cert.pub")
    server.known_hosts.write_text(f"@cert-authority * {public(authority)}\n")
    with pytest.raises(StoreUnavailable, match="cannot be verified"):
        await store_on(server).check()


@ensure
async def test_a_certificate_that_has_expired_is_refused(server, store_on, tmp_path, logged) -> None:
    authority = make_key(tmp_path / "authority")
    sign(authority, server.host_key, "-h", "-n", "127.0.0.1", "-V", "20200101:20210101")
    start(server, f"HostCertificate {server.host_key}-cert.pub")
    server.known_hosts.write_text(f"@cert-authority * {public(authority)}\n")
    with pytest.raises(StoreUnavailable, match="cannot be verified"):
        await store_on(server).check()
    assert "expired" in logged()


@ensure
async def test_a_revoked_authority_or_key_is_refused(server, store_on, certified) -> None:
    for revoked in (certified, server.host_key):
        server.known_hosts.write_text(f"@cert-authority * {public(certified)}\n@revoked * {public(revoked)}\n")
        with pytest.raises(StoreUnavailable, match="is revoked"):
            await store_on(server).check()


@ensure
async def test_the_key_of_a_server_with_a_certificate_is_known_without_it(server, store_on, certified) -> None:
    await store_on(server).check()
    await store_on(server, fingerprint=server.fingerprint()).check()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@ensure
async def test_the_pinned_key_may_be_any_of_the_servers(server, store_on, logged, kind) -> None:
    keys = {each: make_key(server.directory / each, each) for each in ("ecdsa", "rsa")}
    with server.config.open("a") as config:
        config.writelines(f"HostKey {key}\n" for key in keys.values())
    server.start()
    pinned = asyncssh.read_private_key(keys.get(kind, server.host_key)).get_fingerprint()
    server.known_hosts.unlink()
    await store_on(server, fingerprint=pinned).check()
    assert "fingerprint" not in logged()
    with pytest.raises(StoreUnavailable, match="is not the pinned one"):
        await store_on(server, fingerprint="SHA256:" + "x" * 43).check()
    assert logged().count("has no key with the fingerprint in the config") == 1


@pytest.mark.parametrize(
    "pattern", slow_after(2, ["127.0.0.1", "[127.0.0.1]:*", "*", "127.0.0.?", "nas,127.0.0.1,other"])
)
@ensure
async def test_known_hosts_may_have_wildcards_and_no_port(server, store_on, pattern) -> None:
    server.start()
    server.known_hosts.write_text(f"# a comment\nno sense at all\n\n{pattern} {public(server.host_key)}\n")
    await store_on(server).check()


@pytest.mark.parametrize("pattern", ["127.0.0.2", "*,!127.0.0.1", "[127.0.0.1]:1"])
@ensure
async def test_an_entry_for_another_server_does_not_count(server, store_on, pattern) -> None:
    server.start()
    server.known_hosts.write_text(f"{pattern} {public(server.host_key)}\n")
    with pytest.raises(StoreUnavailable, match="not known"):
        await store_on(server).check()


@ensure
async def test_hashed_names_are_found(server, store_on) -> None:
    server.start()
    run("ssh-keygen", "-q", "-H", "-f", server.known_hosts)
    assert server.known_hosts.read_text().startswith("|1|")
    await store_on(server).check()


@pytest.mark.parametrize("pattern", ["*", "127.0.0.1", "[127.0.0.1]:{port}"])
@ensure
async def test_a_key_that_is_revoked_anywhere_is_refused_here(server, store_on, pattern) -> None:
    server.start()
    known = server.known_hosts.read_text()
    revoked = f"@revoked {pattern.format(port=server.port)} {public(server.host_key)}\n"
    server.known_hosts.write_text(known + revoked)
    with pytest.raises(StoreUnavailable, match="is revoked"):
        await store_on(server).check()


@ensure
async def test_the_key_that_is_known_is_asked_for_when_the_server_has_several(server, store_on, tmp_path) -> None:
    other = make_key(tmp_path / "other", "rsa")
    start(server, f"HostKey {other}")
    server.trust(other)
    await store_on(server).check()


@ensure
async def test_a_key_that_is_known_for_the_address_proves_no_name(server, store_on) -> None:
    server.start()
    with pytest.raises(StoreUnavailable, match="not known"):
        await store_on(server, host="localhost").check()


@ensure
async def test_nothing_of_the_password_is_logged(tmp_path, root, store_on, logged) -> None:
    server = ScriptedSSH(tmp_path / "scripted", root)
    server.start()
    try:
        await store_on(server, identity_file=None, password=scripted_sftp.PASSWORD).check()
        with pytest.raises(StoreUnavailable, match="refused"):
            await store_on(server, identity_file=None, password="quite another secret").check()
    finally:
        server.stop()
    assert "secret" not in logged()


def name_list(*names: str) -> bytes:
    joined = ",".join(names).encode()
    return len(joined).to_bytes(4, "big") + joined


def greeting(*lists: tuple[str, ...]) -> bytes:
    """What a server sends first that has these algorithms (RFC 4253, section 7.1)."""
    payload = b"\x14" + bytes(16) + b"".join(name_list(*names) for names in (*lists, (), ())) + bytes(5)
    padding = bytes(16 - (len(payload) + 5) % 8)
    packet = bytes([len(padding)]) + payload + padding
    return b"a banner\r\nSSH-2.0-Scripted\r\n" + len(packet).to_bytes(4, "big") + packet


class Leaving(Protocol):
    """Sends its algorithms, and closes the connection in the same moment."""

    lists: tuple[tuple[str, ...], ...]

    def connectionMade(self) -> None:
        self.transport.write(greeting(*self.lists))
        self.transport.loseConnection()


KEX, HOST_KEYS, NONE = ("curve25519-sha256",), ("ssh-ed25519",), ("none",)
GCM, CTR, SHA2 = ("aes128-gcm@openssh.com",), ("aes128-ctr",), ("hmac-sha2-256",)


@pytest.mark.parametrize(
    ("lists", "problem"),
    [
        (
            (("kex-of-tomorrow", "dh-of-old"), HOST_KEYS, CTR, CTR, SHA2, SHA2, NONE, NONE),
            "no key exchange in common",
        ),
        ((KEX, ("ssh-dss",), CTR, CTR, SHA2, SHA2, NONE, NONE), "no host key in common"),
        ((KEX, HOST_KEYS, ("3des-cbc",), CTR, SHA2, SHA2, NONE, NONE), "no encryption in common"),
        ((KEX, HOST_KEYS, CTR, CTR, ("hmac-md5",), SHA2, NONE, NONE), "no MAC in common"),
        ((KEX, HOST_KEYS, CTR, CTR, SHA2, ("hmac-md5",), NONE, NONE), "no MAC from the server in common"),
        ((KEX, HOST_KEYS, GCM, CTR, (), SHA2, ("lzma",), NONE), "no compression in common"),
        ((KEX, HOST_KEYS, GCM, GCM, (), (), NONE, NONE), None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@ensure
async def test_the_lists_are_logged_however_fast_the_server_leaves(store_on, server, logged, lists, problem) -> None:
    leaving = Factory.forProtocol(type("Told", (Leaving,), {"lists": lists}))
    port = reactor.listenTCP(0, leaving, interface="127.0.0.1")
    server.port = port.getHost().port
    server.trust(server.host_key)
    try:
        with pytest.raises(StoreUnavailable):
            await store_on(server).check()
    finally:
        await port.stopListening()
    if problem is None:
        assert "in common" not in logged()
        return
    assert f"be agreed on: {problem}, sent " in logged()
    refused = next(names for names in lists if names not in (KEX, HOST_KEYS, NONE, GCM, CTR, SHA2, ()))
    assert f"and received {','.join(refused)}" in logged()


DIFFIE_HELLMAN = """
import was_daemon.stores.sftp.connecting
from asyncssh.crypto.dh import DH
ours, theirs = DH(2, {prime}), DH(2, {prime})
assert ours.get_shared(theirs.get_public()) == theirs.get_shared(ours.get_public())
"""


def test_commands_print_no_warning_of_the_library_that_computes_old_key_exchanges() -> None:
    prime = kex_dh._group14_p
    done = subprocess.run(
        [sys.executable, "-c", DIFFIE_HELLMAN.format(prime=prime)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
