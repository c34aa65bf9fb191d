"""Check of TLS: the chain, the name and the expiry of what `public_url` sends, and of the daemon's own certificates."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from was_daemon.config.endpoints import tcp_address, tls_files
from was_daemon.doctor.findings import Finding, State, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient

_NAME = "certificate"
_SECONDS = 4.0
_SOON_DAYS = 14
_NOT_YET, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_FIRST = 9, 10, 18, 19, 20, 21
_WRONG_NAMES = (62, 64)
"""Numbers of X509_V_ERR_..., see X509_STORE_CTX_get_error(3)."""

_CHAIN = (
    "nginx's ssl_certificate, or certKey of the daemon's endpoint, must name the file with the whole chain "
    "(fullchain.pem)"
)
_OTHER_NAME = "Get a certificate for {}, or correct server.public_url"
_RENEW = "certbot renew, or as your certificates are made; then: {}"
_NOT_YET_REMEDY = (
    "If this machine's clock (date) is wrong: timedatectl set-ntp true. Else use the old certificate until then."
)
_SENT = ("certKey", "extraCertChain")
"""Arguments of an endpoint that name files with certificates."""

_RELOAD_NGINX = "systemctl reload nginx"


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what is wrong with the certificates; blocks."""
    server = patient.known.server
    parts = urlsplit(server.public_url or "")
    own = {each: files for each in chain(*patient.endpoints().values()) if (files := tls_files(each))}
    public: set[Path] = set()
    host, port = parts.hostname, parts.port or 443
    if parts.scheme == "https" and host:
        public = {files["certKey"] for each, files in own.items() if (at := tcp_address(each)) and at.port == port}
        yield _of_server(host, port, patient.restart if public else _RELOAD_NGINX)
    for path in dict.fromkeys(files[each] for files in own.values() for each in _SENT if each in files):
        yield _of_file(path, patient.restart, (host, port) if host and path in public else None)
    if parts.scheme != "https" and not own:
        yield skipped(_NAME, "neither server.public_url nor server.listen has TLS")


def _of_server(host: str, port: int, restart: str) -> Finding:
    """Return what a client meets that trusts the certificates that this system trusts.

    `restart` makes the server read its certificate again.
    """
    context = ssl.create_default_context()
    where = f"{host}:{port}"
    try:
        with socket.create_connection((host, port), _SECONDS) as plain:
            plain.settimeout(_SECONDS)
            with context.wrap_socket(plain, server_hostname=host) as encrypted:
                der = encrypted.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as error:
        return failed(_NAME, f"{where}: {_reason(error)}", _remedy(error, host, restart))
    except OSError as error:
        return failed(
            _NAME,
            f"{where}: no connection with TLS: {error.strerror or error}",
            f"openssl s_client -connect {where} -servername {host}",
        )
    if not der:
        return failed(_NAME, f"{where}: sends no certificate")
    return _expiry(where, restart, x509.load_der_x509_certificate(der))


def _reason(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return "the certificate has expired"
    if error.verify_code in _WRONG_NAMES:
        return "the certificate is for another name"
    if error.verify_code in (_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN):
        return "the certificate is signed by nobody whom clients trust"
    if error.verify_code in (_NO_ISSUER, _NO_FIRST):
        return "the chain is incomplete: the server sends its certificate without those that lead to a trusted one"
    return error.verify_message or "the certificate is refused"


def _remedy(error: ssl.SSLCertVerificationError, host: str, restart: str) -> str:
    if error.verify_code in _WRONG_NAMES:
        return f"{_OTHER_NAME.format(host)}; then: {restart}"
    if error.verify_code in (_NO_ISSUER, _NO_FIRST):
        return f"{_CHAIN}."
    if error.verify_code in (_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN):
        return (
            "Use one that browsers trust, or add your institution's to /usr/local/share/ca-certificates and run "
            "update-ca-certificates, on this machine and on Specify's."
        )
    if error.verify_code == _NOT_YET:
        return _NOT_YET_REMEDY
    return _RENEW.format(restart)


def _expiry(where: str, restart: str, certificate: x509.Certificate) -> Finding:
    renew = _RENEW.format(restart)
    until, since, now = certificate.not_valid_after_utc, certificate.not_valid_before_utc, datetime.now(UTC)
    if until <= now:
        return failed(_NAME, f"{where}: the certificate has expired, on {until:%Y-%m-%d}", renew)
    if since > now:
        return failed(_NAME, f"{where}: the certificate is valid only from {since:%Y-%m-%d %H:%M} UTC", _NOT_YET_REMEDY)
    days = (until - now).days
    if days < _SOON_DAYS:
        return warning(_NAME, f"{where}: the certificate expires in {days} days, on {until:%Y-%m-%d}", renew)
    return ok(_NAME, f"{where}: valid until {until:%Y-%m-%d}")


def _of_file(path: Path, restart: str, address: tuple[str, int] | None) -> Finding:
    """Return what is wrong with the daemon's own certificate; relative paths start where the daemon was started.

    It may have been replaced since the daemon has read it, which sends it at `address`, if anywhere.
    """
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        # So the endpoint cannot be used: a mistake in the configuration, or the check of paths, says why.
        return skipped(_NAME, f"{path}: no certificate can be read from it, as another check tells")
    found = _expiry(str(path), restart, certificates[0])
    if not address or found.state is State.FAILED:
        return found
    host = address[0]
    if not _is_for(host, certificates[0]):
        message = f"{path}: the certificate is for another name than {host}, and is sent from the next start on"
        return failed(_NAME, message, f"{_OTHER_NAME.format(host)}; then: {restart}")
    if not _is_sent(certificates[0], address):
        message = f"{path}: {host}:{address[1]} sends another certificate, which was here before, or is that of a proxy"
        return warning(_NAME, message, restart)
    return found


def _is_for(host: str, certificate: x509.Certificate) -> bool:
    try:
        if _is_number(host):
            verify_certificate_ip_address(certificate, host)
        else:
            verify_certificate_hostname(certificate, host)
    except (VerificationError, CertificateError):
        return False
    return True


def _is_number(host: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(host))
    return False


def _is_sent(certificate: x509.Certificate, address: tuple[str, int]) -> bool:
    """Return whether a server sends a certificate; True for one that cannot be asked, of which another finding is."""
    try:
        return (
            x509.load_pem_x509_certificate(ssl.get_server_certificate(address, timeout=_SECONDS).encode())
            == certificate
        )
    except (OSError, ValueError):
        return True
