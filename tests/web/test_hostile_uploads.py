"""Uploads that nobody has shown a right to get a part of the disk and of the daemon, and forms that lie are refused."""

import os
from contextlib import ExitStack

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.client import Client, Connection, Form, file_part, text_part
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.http_contract import check_allowed_everywhere, check_refused, new_name

ELSEWHERE = "127.0.0.2"
"""Another address to come from."""


def client_of(daemon: Daemon) -> Client:
    return Client(daemon.url, KEY)


def begin(client: Client, connection: Connection, size: int = 1 << 20) -> Form:
    """Send the beginning of an upload whose token comes last; returns its form."""
    form = client.specify7_form(new_name())
    connection.send(form.head(size) + form.before + b"the beginning")
    return form


def staged(daemon: Daemon) -> int:
    """How many files are being uploaded."""
    return sum("/.staging/" in path for path in daemon.open_files())


@pytest_twisted.ensureDeferred
async def test_so_many_uploads_wait_for_their_token_and_no_more(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"limits": {"pending_uploads": 4}})
    client = client_of(daemon)
    with ExitStack() as stack:
        for source in [None, None, ELSEWHERE, ELSEWHERE]:
            begin(client, stack.enter_context(Connection(client.address, source=source)))
        eventually(lambda: staged(daemon) == 4, "for the uploads to begin")
        answer = await client.upload_like_specify7(new_name(), b"one too many")
        check_refused(answer, 503, KEY)
        check_allowed_everywhere(answer)
        assert answer.headers["Retry-After"]
        # A token that comes first is a right to be here.
        assert (await client.upload_like_specify6(new_name(), b"content")).body == b"Ok."
    eventually(lambda: staged(daemon) == 0, "for the uploads to be given up")
    await client.store(new_name(), b"there is room again")


@pytest_twisted.ensureDeferred
async def test_one_client_takes_half_of_the_room_at_most(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"limits": {"pending_uploads": 4}})
    client = client_of(daemon)
    with ExitStack() as stack:
        for _ in range(2):
            begin(client, stack.enter_context(Connection(client.address, source=ELSEWHERE)))
        eventually(lambda: staged(daemon) == 2, "for the uploads to begin")
        with Connection(client.address, source=ELSEWHERE) as connection:
            begin(client, connection)
            assert connection.answer().status == 503
        await client.store(new_name(), b"from another client")


@pytest_twisted.ensureDeferred
async def test_a_proxys_clients_are_told_apart(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"limits": {"pending_uploads": 2}, "server": {"trusted_proxies": ["127.0.0.1"]}})
    client = client_of(daemon)
    form = client.specify7_form(new_name())
    with client.connect() as connection:
        connection.send(form.head(1 << 20, "X-Forwarded-For: 192.0.2.1") + form.before + b"the beginning")
        eventually(lambda: staged(daemon) == 1, "for the upload to begin")
        for address, status in [("192.0.2.1", 503), ("192.0.2.2", 200)]:
            form = client.specify7_form(new_name())
            with client.connect() as other:
                other.send(form.head(5, f"X-Forwarded-For: {address}") + form.around(b"small"))
                assert other.answer().status == status


@pytest_twisted.ensureDeferred
async def test_uploads_without_a_token_share_so_many_bytes(run_daemon: RunDaemon) -> None:
    sizes = {"server": {"max_upload": "2 MiB"}, "limits": {"pending_size": "2 MiB"}}
    daemon = run_daemon(sizes)
    client = client_of(daemon)
    block = os.urandom(1_500_000)
    with client.connect() as connection:
        form = client.specify7_form(name := new_name())
        connection.send(form.head(2 * len(block)) + form.before + block)
        eventually(lambda: staged_bytes(daemon) >= 1 << 20, "for the first upload to be written")
        answer = await client.upload_like_specify7(new_name(), block)
        check_refused(answer, 503, KEY)
        check_allowed_everywhere(answer)
        assert (await client.upload_like_specify6(new_name(), block)).body == b"Ok."
    eventually(lambda: staged(daemon) == 0, "for the first upload to be given up")
    await client.store(name, block)
    assert (await client.original(name)).body == block


def staged_bytes(daemon: Daemon) -> int:
    return sum(path.stat().st_size for path in daemon.store.glob("**/.staging/*"))


@pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
@pytest_twisted.ensureDeferred
async def test_some_of_the_disk_stays_free(run_daemon: RunDaemon, order: str) -> None:
    daemon = run_daemon({"limits": {"min_free": "1000000 TiB"}})
    client = client_of(daemon)
    form = getattr(client, order)(name := new_name())
    with client.connect() as connection:
        # The answer comes before the file does.
        connection.send(form.head(1 << 30) + form.before + b"the beginning")
        answer = connection.answer()
    check_refused(answer, 507, KEY)
    check_allowed_everywhere(answer)
    assert (await client.original(name)).status == 404
    eventually(lambda: staged(daemon) == 0, "for the file to be given up")


@pytest_twisted.ensureDeferred
async def test_an_upload_larger_than_the_room_on_the_disk_is_refused_at_once(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"server": {"max_upload": "1000000 TiB"}})
    client = client_of(daemon)
    form = client.specify7_form(new_name())
    with client.connect() as connection:
        connection.send(form.head(1 << 59) + form.before + b"the beginning")
        check_refused(connection.answer(), 507, KEY)


PUNYCODE = ('Content-Disposition: form-data; name="coll"\r\nContent-Type: text/plain; charset=punycode', b"a" * 60_000)
"""A charset that takes a second to read this."""

NESTED = ('Content-Disposition: form-data; name="coll"\r\nContent-Type: multipart/mixed; boundary=inner', b"--inner--")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([NESTED], "a field is a form of its own"),
        ([text_part("coll", "a"), text_part("coll", "a")], "a field occurs twice"),
        ([text_part("coll", "x" * (1 << 16 | 1))], "a field is too long"),
        ([text_part(f"a{number}", "") for number in range(32)], "the form is malformed"),
        ([('Content-Disposition: form-data; name="coll"', b"\xff")], "a field's text does not match its charset"),
        ([PUNYCODE], "a field's text does not match its charset"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_form_that_no_client_sends_is_refused_and_says_why(
    filesystem_client: Client, parts: list[tuple[str, bytes]], why: str
) -> None:
    client = filesystem_client
    name = new_name()
    mandatory = [text_part("store", name), text_part("token", client.token(name))]
    for form in (Form.of(*mandatory, *parts, file_part()), Form.of(file_part(), *parts, *mandatory)):
        answer = await client.upload(form, b"content")
        check_refused(answer, 400, KEY)
        check_allowed_everywhere(answer)
        assert why in answer.text
    assert (await client.original(name)).status == 404


@pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
@pytest_twisted.ensureDeferred
async def test_a_form_without_its_last_boundary_is_refused(filesystem_client: Client, order: str) -> None:
    client = filesystem_client
    form = getattr(client, order)(name := new_name())
    end = f"--{form.boundary}--\r\n".encode()
    whole = form.around(b"content")
    assert whole.endswith(end)
    for cut in (whole[: -len(end)], whole[: -len(b"--\r\n")]):
        check_refused(await client.post("/fileupload", cut, form.content_type), 400, KEY)
    assert (await client.original(name)).status == 404


@pytest.mark.parametrize("missing", [3, 10, 100])
@pytest_twisted.ensureDeferred
async def test_a_length_that_is_too_small_stores_nothing(filesystem_client: Client, missing: int) -> None:
    client = filesystem_client
    form = client.specify7_form(name := new_name())
    with client.connect() as connection:
        connection.send(form.head(7 - missing) + form.around(b"content"))
        assert connection.answer().status == 400
        # What was left over is no request.
        assert b"200 OK" not in connection.rest()
    assert (await client.original(name)).status == 404


@pytest.mark.parametrize("query", ["filename=NAME&filename=other.jpg", "filename=NAME&coll=a&coll=b"])
@pytest.mark.parametrize("path", ["/fileget", "/getmetadata", "/getfileref"])
@pytest_twisted.ensureDeferred
async def test_a_query_says_nothing_twice(filesystem_client: Client, path: str, query: str) -> None:
    client = filesystem_client
    await client.store(name := new_name(), b"content")
    answer = await client.get(f"{path}?{query.replace('NAME', name)}")
    assert (answer.status, answer.text.strip()) == (400, "a field occurs twice")


@pytest_twisted.ensureDeferred
async def test_a_deletion_says_nothing_twice(filesystem_client: Client) -> None:
    client = filesystem_client
    await client.store(name := new_name(), b"content")
    token = client.token(name)
    form = f"filename={name}&token={token}&filename={name}".encode()
    answer = await client.post("/filedelete", form, "application/x-www-form-urlencoded")
    check_refused(answer, 400, KEY)
    assert (await client.original(name)).body == b"content"
