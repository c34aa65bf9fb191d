"""Requests that no client of Specify's sends: strange headers and request lines have plain answers."""

import pytest
import pytest_twisted

from tests.support.client import Client
from tests.support.http_contract import check_refused, new_name


@pytest.fixture
def client(filesystem_client: Client) -> Client:
    return filesystem_client


@pytest.mark.parametrize("path", ["/", "/web_asset_store.xml", "/fileget?filename=NAME", "/static/originals/NAME"])
@pytest.mark.parametrize("header", ["Host", "Accept", "Range", "If-None-Match", "If-Modified-Since", "If-Range"])
@pytest_twisted.ensureDeferred
async def test_a_header_that_is_no_text_is_no_server_error(client: Client, path: str, header: str) -> None:
    name = new_name()
    await client.store(name, b"content")
    host = b"" if header == "Host" else b"Host: localhost\r\n"
    line = f"GET {path.replace('NAME', name)} HTTP/1.1\r\n".encode()
    answer = client.raw(line + host + header.encode() + b": bytes=\xff\xfe\r\nConnection: close\r\n\r\n")
    assert answer.status in (200, 400)
    assert answer.headers["X-Timestamp"]


@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: b\r\n"])
def test_a_request_has_one_host(client: Client, hosts: bytes) -> None:
    answer = client.raw(b"GET / HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
    assert answer.status == 400


@pytest_twisted.ensureDeferred
async def test_the_form_of_request_that_proxies_use_is_understood(client: Client) -> None:
    name = new_name()
    await client.store(name, b"content")
    answer = client.raw(
        f"GET http://museum/fileget?filename={name} HTTP/1.1\r\nHost: museum\r\nConnection: close\r\n\r\n".encode()
    )
    assert (answer.status, answer.body) == (200, b"content")


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://museum/", "museum"),
        ("http://museum:8080/", "museum:8080"),
        ("HTTP://museum/", "museum"),
        ("https://museum/", "museum"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("/", "other"),
    ],
)
def test_the_host_of_the_target_outranks_the_header(client: Client, target: str, host: str) -> None:
    answer = client.raw(
        f"GET {target}web_asset_store.xml HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.status == 200
    assert f'<url type="read">http://{host}/fileget</url>' in answer.text


@pytest.mark.parametrize(
    "target",
    [
        "http://user:secret@museum/",
        "http://user@museum/",
        "http:///",
        "http://museum:port/",
        "http://museum:99999/",
        "http://museum:" + "9" * 4301 + "/",
        "http://[::1/",
        "http://a b/",
        "http://museum#/",
        "ftp://museum/",
        "museum:443",
        "xfileget?filename=NAME",
        "*",
    ],
)
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
@pytest_twisted.ensureDeferred
async def test_a_target_of_another_form_is_refused(client: Client, method: str, target: str) -> None:
    name = new_name()
    await client.store(name, b"content")
    answer = client.raw(
        f"{method} {target.replace('NAME', name)} HTTP/1.1\r\nHost: museum\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.status in (400, 404)
    check_refused(answer, answer.status, client.key)


def test_the_server_as_a_whole_has_options(client: Client) -> None:
    assert client.raw(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status == 200


@pytest.mark.parametrize(
    "host",
    [
        "user@museum",
        "museum/path",
        "museum, other",
        "museum:port",
        "museum:-1",
        "museum:99999",
        "museum:" + "9" * 4301,
        "::1",
        "[::1",
        "[::1]x",
        "[1:2]",
        "[museum]",
        "museum..org",
        ".",
        "%6duseum",
        "<museum>",
        '"museum"',
        "museum\\",
        "muséum",
        "museum\tother",
        "museum\r\n other",
    ],
)
@pytest.mark.parametrize("path", ["/", "/web_asset_store.xml"])
def test_a_host_that_is_none_is_refused(client: Client, path: str, host: str) -> None:
    answer = client.raw(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    check_refused(answer, 400, client.key)


@pytest.mark.parametrize(
    "host", ["museum", "Museum.Example.ORG.", "asset_server:8080", "192.0.2.1", "[2001:db8::1]:80"]
)
def test_a_host_that_a_network_can_have_is_told_back(client: Client, host: str) -> None:
    answer = client.raw(f"GET /web_asset_store.xml HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert f'<url type="read">http://{host}/fileget</url>' in answer.text


@pytest.mark.parametrize(
    "digits", ["9" * 4301, "0" * 4300 + "5", "1_0", "+5", "5,5", "٥", "", "5\r\nContent-Length: 6"]
)
@pytest.mark.parametrize("after", ["", "X-Other: header\r\n"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_length_that_is_no_number_is_refused(client: Client, method: str, digits: str, after: str) -> None:
    head = f"{method} /filedelete HTTP/1.1\r\nHost: a\r\nContent-Length: {digits}\r\n{after}\r\n"
    check_refused(client.raw(head.encode()), 400, client.key)


@pytest.mark.parametrize("size", ["f" * 4301, "1_0", "+5", "0x5", " 5", "-5", ""])
def test_a_chunk_whose_size_is_no_number_is_refused(client: Client, size: str) -> None:
    head = "POST /filedelete HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    check_refused(client.raw(f"{head}{size}\r\na=b&c\r\n0\r\n\r\n".encode()), 400, client.key)


@pytest.mark.parametrize("path", ["/%66ileget?filename=NAME", "/%73tatic/originals/NAME"])
@pytest_twisted.ensureDeferred
async def test_a_path_is_the_same_however_it_is_spelt(client: Client, path: str) -> None:
    name = new_name()
    await client.store(name, b"content")
    answer = client.raw(f"GET {path.replace('NAME', name)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(("range_", "status"), [("bytes=0-" + "9" * 30, 206), ("bytes=" + "9" * 30 + "-", 416)])
@pytest_twisted.ensureDeferred
async def test_ranges_beyond_all_numbers_are_ranges(client: Client, range_: str, status: int) -> None:
    name = new_name()
    await client.store(name, b"content")
    request = f"GET /fileget?filename={name} HTTP/1.1\r\nHost: a\r\nRange: {range_}\r\nConnection: close\r\n\r\n"
    assert client.raw(request.encode()).status == status
