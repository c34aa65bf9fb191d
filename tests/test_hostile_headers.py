"""Requests that no client of Specify's sends: strange headers and request lines have plain answers."""

import pytest
import pytest_twisted

from tests.client import Client
from tests.http_contract import check_refused, new_name


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
