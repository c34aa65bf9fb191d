"""Certificates for servers under test."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_DAY = datetime.timedelta(days=1)
_PEM = serialization.Encoding.PEM


def self_signed(
    directory: Path, since: datetime.timedelta = -_DAY, until: datetime.timedelta = _DAY, name: str = "localhost"
) -> Path:
    """Key and certificate, in one file, of the server `name`, which nobody vouches for but itself.

    It is valid from `since` until `until`, seen from now.
    """
    key = _new_key()
    return _written(directory / "server.pem", key, _signed(name, key, name, key, since, until, host=name))


def incomplete_chain(directory: Path) -> tuple[Path, Path]:
    """Key and certificate of a server called localhost, without the one between it and that to be trusted, and that."""
    root, between, server = _new_key(), _new_key(), _new_key()
    trusted = directory / "root.pem"
    trusted.write_bytes(_signed("a root", root, "a root", root, is_authority=True).public_bytes(_PEM))
    return _written(directory / "chain.pem", server, _signed("localhost", server, "one between", between)), trusted


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _written(path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Path:
    secret = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(_PEM))
    return path


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuers_key: ec.EllipticCurvePrivateKey,
    since: datetime.timedelta = -_DAY,
    until: datetime.timedelta = _DAY,
    is_authority: bool = False,
    host: str = "localhost",
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    )
    if is_authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(issuers_key, hashes.SHA256())


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
