"""Check of nginx in front of the daemon: by reading its configuration, and by a request through it."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from was_daemon.doctor import nginx_files
from was_daemon.doctor.findings import Finding, failed, ok, skipped, warning
from was_daemon.doctor.nginx_config import NginxConfig, Proxy, parse_dump, seconds_in, size_in
from was_daemon.doctor.patient import Patient
from was_daemon.health.probe import probe
from was_daemon.model.sizes import readable

_NAME = "nginx"
_DEFAULT_SIZE = "1m"
_DEFAULT_TIMEOUT = "60s"
_DEFAULT_TEMPORARY = "1024m"
_LEAST_TIMEOUT = 120.0
_ANSWER_SECONDS = 3.0
_CONNECT_SECONDS = 4.0
_SHIPPED = "etc/nginx/was-daemon.conf has a site that is right"
_LOOPBACKS = (ip_address("127.0.0.1"), ip_address("::1"))
_LOCAL = ("127.", "localhost", "[::1]", "0.0.0.0", "[::]")  # noqa: S104  # compared with


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what is wrong with nginx; blocks."""
    told = False
    for each in patient.machine.nginx:
        if each.dump is None:
            told = True
            yield _unreadable(patient, each.problem or "")
            continue
        with suppress(ValueError):
            config = parse_dump(each.dump)
            proxies = [proxy for proxy in config.proxies() if _is_ours(patient, config, proxy)]
            if proxies:
                told = True
                yield from _of_site(patient, config, proxies, each.version)
    if not told:
        yield skipped(_NAME, "no nginx on this machine passes requests to the daemon")
    yield from _by_request(patient)


def _unreadable(patient: Patient, problem: str) -> Finding:
    if patient.machine.is_seen_by_root:
        return failed(_NAME, f"its configuration has mistakes: {problem}", "nginx -t")
    return skipped(_NAME, "only root may read its whole configuration", "sudo was-daemon doctor")


def _is_ours(patient: Patient, config: NginxConfig, proxy: Proxy) -> bool:
    ports = {address.port for address in patient.tcp_addresses()}
    sockets = [each.split(":")[1] for each in patient.known.server.listen if each.startswith("unix:")]
    for target in config.targets_of(proxy):
        if target.startswith("unix:") and target.removeprefix("unix:") in sockets:
            return True
        host, _, port = target.rpartition(":")
        is_here = host.startswith(_LOCAL) or patient.public_host() in proxy.names
        if port.isdecimal() and int(port) in ports and is_here:
            return True
    return False


def _of_site(patient: Patient, config: NginxConfig, proxies: Sequence[Proxy], version: str) -> Iterator[Finding]:
    found: dict[str, Finding] = {}
    for proxy in proxies:
        for finding in (*_bodies(patient, proxy), *_answers(proxy), *_headers(patient, proxy)):
            found.setdefault(finding.message, finding)
    for finding in nginx_files.look(patient, config, proxies[0]):
        found.setdefault(finding.message, finding)
    yield from found.values()
    if not found:
        files = ", ".join(dict.fromkeys(proxy.file for proxy in proxies))
        yield ok(_NAME, f"nginx {version} passes requests on as it should ({files})")


def _bodies(patient: Patient, proxy: Proxy) -> Iterator[Finding]:
    largest = patient.known.server.max_upload
    text = proxy.value("client_max_body_size", _DEFAULT_SIZE)
    size = size_in(text)
    if size and size < largest:
        yield failed(
            _NAME,
            f"{proxy.file}: nginx refuses uploads of more than {text} (client_max_body_size), and the daemon takes "
            f"{readable(largest)}",
            f"client_max_body_size 0; in the block server of {proxy.file}, then: nginx -t && systemctl reload nginx",
        )
    if proxy.value("proxy_request_buffering", "on") == "on":
        yield warning(
            _NAME,
            f"{proxy.file}: nginx writes each upload to its own disk before the daemon gets any of it "
            "(proxy_request_buffering)",
            f"proxy_request_buffering off; beside proxy_pass in {proxy.file}, then: nginx -t && systemctl reload nginx",
        )


def _answers(proxy: Proxy) -> Iterator[Finding]:
    buffers = proxy.value("proxy_buffering", "on") == "on"
    if buffers and size_in(proxy.value("proxy_max_temp_file_size", _DEFAULT_TEMPORARY)) != 0:
        yield warning(
            _NAME,
            f"{proxy.file}: nginx writes large downloads to its own disk first (proxy_max_temp_file_size)",
            f"proxy_max_temp_file_size 0; beside proxy_pass in {proxy.file}, then: nginx -t && systemctl reload nginx",
        )
    text = proxy.value("proxy_read_timeout", _DEFAULT_TIMEOUT)
    seconds = seconds_in(text)
    if seconds is not None and seconds < _LEAST_TIMEOUT:
        yield warning(
            _NAME,
            f"{proxy.file}: nginx gives up after {text} without a byte (proxy_read_timeout), and a new thumbnail may "
            "have to wait for many others",
            f"proxy_read_timeout 300s; beside proxy_pass in {proxy.file}, then: nginx -t && systemctl reload nginx",
        )


def _headers(patient: Patient, proxy: Proxy) -> Iterator[Finding]:
    headers, server = proxy.headers(), patient.known.server
    is_believed = any(loopback in network for network in server.trusted_proxies for loopback in _LOOPBACKS)
    if not is_believed and not any(each.startswith("unix:") for each in server.listen):
        yield warning(
            _NAME,
            "the daemon does not believe nginx who clients are, so all of them count as one (server.trusted_proxies)",
            f'trusted_proxies = ["127.0.0.1"] in the section [server] of {patient.name_of_config}',
        )
    missing = [name for name in ("X-Forwarded-For",) if name.lower() not in headers]
    if not server.public_url:
        missing += [name for name in ("X-Forwarded-Proto", "X-Forwarded-Host") if name.lower() not in headers]
    if missing:
        yield warning(
            _NAME,
            f"{proxy.file}: nginx does not pass on {' and '.join(missing)}",
            f"Add the lines proxy_set_header ... to {proxy.file}: {_SHIPPED}.",
        )


def _by_request(patient: Patient) -> Iterator[Finding]:
    """Yield what an upload meets on the way to the daemon: its headers are sent, and no byte of it."""
    url = patient.known.server.public_url
    if not url:
        return
    try:
        answer = _answer_to_headers(url, patient.known.server.max_upload)
    except OSError:
        # The check of the address tells.
        return
    if answer is None:
        if not probe(url, _ANSWER_SECONDS)["ok"]:
            # The check of the address tells.
            return
        yield warning(
            _NAME,
            f"by a request: {url} keeps an upload to itself until all of it has arrived",
            "proxy_request_buffering off; (nginx), or as the proxy there calls it",
        )
        return
    status, from_daemon = answer
    if status == 413 or (status == 400 and not from_daemon):
        yield failed(
            _NAME,
            f"by a request: what is at {url} refuses uploads of {readable(patient.known.server.max_upload)} ({status}) "
            "that the daemon would take",
            "client_max_body_size 0; (nginx), or as the proxy there calls it",
        )
    elif from_daemon:
        yield ok(_NAME, f"by a request: the headers of an upload of any size reach the daemon through {url} at once")
    elif status < 500:
        yield warning(
            _NAME,
            f"by a request: what is at {url} answers an upload itself ({status}), and does not pass it on",
            f"curl --verbose --form file=@/etc/hostname {url}/fileupload",
        )


def _answer_to_headers(url: str, size: int) -> tuple[int, bool] | None:
    """Return the status of the answer, and whether the daemon gave it; None if there is none before the body."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_encrypted = parts.scheme == "https"
    head = (
        f"POST {parts.path}/fileupload HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {size}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((host, parts.port or (443 if is_encrypted else 80)), _CONNECT_SECONDS) as plain:
        plain.settimeout(_ANSWER_SECONDS)
        # Whether the certificate is right, another check tells.
        connection = _unverified().wrap_socket(plain, server_hostname=host) if is_encrypted else plain
        connection.sendall(head.encode("ascii"))
        received = b""
        try:
            while b"\r\n\r\n" not in received and (data := connection.recv(1 << 14)):
                received += data
        except TimeoutError:
            return None
    first, _, rest = received.partition(b"\r\n")
    words = first.split()
    if len(words) < 2 or not words[1].isdigit():
        return None
    # Of the daemon's headers this one is not among those that the shipped site gives to nginx's own errors.
    return int(words[1]), b"x-request-id:" in rest.lower()


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
