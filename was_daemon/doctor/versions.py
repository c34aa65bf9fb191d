"""Check of versions of programs and libraries with known faults that can hit this daemon."""

import sqlite3
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress

import attrs
from cryptography.hazmat.backends.openssl import backend

from was_daemon.doctor.findings import Finding, ok, warning
from was_daemon.doctor.patient import Patient
from was_daemon.model.composition import IComposedStore

_NAME = "versions"

Version = tuple[int, ...]


@attrs.frozen
class Fault:
    """Fault of all versions from `since` on and before `fixed`, but for those in `mended` and later of their lines.

    `source` is where it is described.
    """

    program: str
    since: Version
    fixed: Version
    what: str
    source: str
    remedy: str
    mended: tuple[Version, ...] = ()

    def hits(self, version: Version) -> bool:
        """Return whether a version has the fault."""
        if not self.since <= version < self.fixed:
            return False
        return not any(version[: len(each) - 1] == each[:-1] and version >= each for each in self.mended)


_UPGRADE = "pip install --upgrade, or the newest package of was-daemon"

FAULTS = (
    # The catalogue, its journal and the record of quotas are in WAL mode, and commands use them beside the daemon.
    Fault(
        "SQLite",
        (3, 7, 0),
        (3, 51, 3),
        "two processes that write at the same time may, rarely, damage a database in WAL mode",
        "https://sqlite.org/wal.html#walresetbug",
        "Install SQLite 3.51.3 or later, or your distribution's package with this repair (apt upgrade libsqlite3-0); "
        "until then back up the catalogue: was-daemon catalogue backup",
        ((3, 44, 6), (3, 50, 7)),
    ),
    # Workers decode WebP, JPEG 2000 and HEIC that anybody with a token may upload. They are confined, so that a file
    # can end its own worker, and read what that has in memory.
    Fault(
        "libwebp",
        (0, 5, 0),
        (1, 3, 2),
        "a WebP file can write beyond a buffer in a worker (CVE-2023-4863)",
        "https://nvd.nist.gov/vuln/detail/CVE-2023-4863",
        f"{_UPGRADE} (Pillow)",
    ),
    Fault(
        "OpenJPEG",
        (2, 5, 1),
        (2, 5, 4),
        "a JPEG 2000 file can write beyond a buffer in a worker (CVE-2025-54874)",
        "https://nvd.nist.gov/vuln/detail/CVE-2025-54874",
        f"{_UPGRADE} (Pillow)",
    ),
    Fault(
        "libheif",
        (1, 0, 0),
        (1, 22, 0),
        "a HEIC file can write beyond a buffer in a worker (CVE-2026-32741)",
        "https://github.com/strukturag/libheif/releases/tag/v1.22.0",
        f"{_UPGRADE} (pillow-heif)",
    ),
    # The daemon is a client of stores that speak TLS, and checks their certificates.
    Fault(
        "OpenSSL",
        (3, 0, 0),
        (3, 0, 7),
        "a store's certificate can write beyond a buffer (CVE-2022-3602, CVE-2022-3786)",
        "https://openssl-library.org/news/secadv/20221101.txt",
        "apt upgrade libssl3, then restart the daemon",
    ),
    Fault(
        "nginx",
        (0, 0, 0),
        (1, 18, 0),
        "older than the shipped site is written for",
        "etc/nginx/was-daemon.conf",
        "apt upgrade nginx",
    ),
)


def look(patient: Patient) -> Iterator[Finding]:
    """Yield the faults of the versions in use."""
    versions = installed(patient)
    found = [
        warning(
            _NAME, f"{fault.program} {_text(versions[fault.program])}: {fault.what}; see {fault.source}", fault.remedy
        )
        for fault in FAULTS
        if fault.program in versions and fault.hits(versions[fault.program])
    ]
    yield from found
    if not found:
        yield ok(
            _NAME, ", ".join(f"{name} {_text(version)}" for name, version in versions.items()) + ": no known faults"
        )


def installed(patient: Patient) -> Mapping[str, Version]:
    """Return the versions of the programs and libraries that are there; imports the libraries."""
    found: dict[str, Version] = {"SQLite": sqlite3.sqlite_version_info} if _uses_sqlite(patient) else {}
    # Twisted uses that of cryptography, drivers of databases that of Python.
    texts = (ssl.OPENSSL_VERSION, backend.openssl_version_text())
    known = [version for text in texts for version in _named("OpenSSL", text.split()[1]).values()]
    if known:
        found["OpenSSL"] = min(known)
    with suppress(ImportError):
        from PIL import features

        for name, feature in (("libwebp", "webp"), ("OpenJPEG", "jpg_2000")):
            kind = features.version_module if feature in features.modules else features.version_codec
            with suppress(ValueError):
                found |= _named(name, kind(feature))
    with suppress(ImportError):
        import pillow_heif

        found |= _named("libheif", pillow_heif.libheif_version())
    for each in patient.machine.nginx:
        found |= _named("nginx", each.version)
    return found


def _uses_sqlite(patient: Patient) -> bool:
    """Return whether the daemon keeps the catalogue, its journal, quotas, or a mirror's journal in SQLite files."""
    settings = patient.settings
    if not settings:
        return False
    has_quotas = any(each.quota is not None for each in settings.collections.map.values())
    return settings.catalogue.is_on or has_quotas or any(map(IComposedStore.providedBy, patient.stores.values()))


def _named(name: str, text: str | None) -> dict[str, Version]:
    parts = (text or "").split("-")[0].split(".")
    return {name: tuple(map(int, parts))} if all(each.isdecimal() for each in parts) else {}


def _text(version: Version) -> str:
    return ".".join(map(str, version))
