"""The settings of an S3 store."""

import os
from collections.abc import Mapping
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from was_daemon.config.secret_files import SecretFile
from was_daemon.config.structure import Size
from was_daemon.config.validators import FieldValidator, at_least, matching, optional
from was_daemon.model.keys import Layout
from was_daemon.model.places import Place
from was_daemon.stores.http.urls import place_at, url_problem
from was_daemon.stores.s3.credentials import CredentialFinder, find_by_botocore, find_in_settings

_LEAST_PART = 5 << 20
"""Bytes: the smallest part that S3 takes, but for the last one of an upload."""


class Addressing(Enum):
    """Place of a bucket's name in the URLs of its objects; the values are those of the setting `addressing`."""

    PATH = "path"
    VIRTUAL = "virtual"


def _prefix_problem(value: str) -> str | None:
    if value and any(segment in ("", ".", "..") for segment in value.strip("/").split("/")):
        return "names with single slashes between them are needed"
    return None


_URL = optional(FieldValidator(url_problem))
_REGION = optional(matching("[A-Za-z0-9_-]+", "the name of a region"))


@attrs.frozen
class S3Options:
    """`[stores.NAME]` with `plugin = "s3"`; ValueError when the settings contradict each other.

    `ca_file` holds the certificates, in PEM format, to trust instead of the system's. `timeout` is in seconds without
    progress, `part_size` in bytes. Without credentials they are looked for where Amazon's tools do.
    """

    bucket: str = attrs.field(validator=matching("[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", "the name of a bucket"))
    endpoint: str | None = attrs.field(default=None, validator=_URL)
    public_endpoint: str | None = attrs.field(default=None, validator=_URL)
    region: str | None = attrs.field(
        default=None, validator=optional(matching("[A-Za-z0-9_-]+", "the name of a region"))
    )
    addressing: Addressing | None = None
    prefix: str = attrs.field(default="", validator=FieldValidator(_prefix_problem))
    layout: Layout = Layout.FLAT
    access_key_id: str | None = None
    secret_access_key: str | None = attrs.field(default=None, repr=False)
    secret_access_key_file: SecretFile | None = None
    session_token: str | None = attrs.field(default=None, repr=False)
    profile: str | None = None
    credentials_file: SecretFile | None = None
    ca_file: Path | None = None
    checksums: bool | None = None
    part_size: Size = attrs.field(default=Size(_LEAST_PART), validator=at_least(_LEAST_PART))
    timeout: float = attrs.field(default=30.0, validator=at_least(0.001))

    def __attrs_post_init__(self) -> None:
        if find_spec("botocore") is None:
            raise ValueError('botocore is missing, which signs the requests: pip install "was-daemon[s3]"')
        secrets = (self.secret_access_key is not None) + (self.secret_access_key_file is not None)
        if secrets > 1 or (self.access_key_id is not None) != (secrets == 1):
            raise ValueError("access_key_id goes with either secret_access_key or secret_access_key_file")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token goes with access_key_id")
        if self.access_key_id is not None and (self.profile is not None or self.credentials_file is not None):
            raise ValueError("access_key_id goes without profile and credentials_file")
        if self.virtual and "." in self.bucket and urlsplit(self.address).scheme == "https":
            raise ValueError('bucket: with dots in its name no certificate fits, take addressing = "path"')

    @property
    def address(self) -> str:
        """The URL of the endpoint."""
        return self.endpoint or f"https://s3.{self.region_name()}.amazonaws.com"

    @property
    def virtual(self) -> bool:
        """Whether the bucket is a part of the host's name."""
        if self.addressing is not None:
            return self.addressing is Addressing.VIRTUAL
        return self.endpoint is None and "." not in self.bucket

    @property
    def folder(self) -> str:
        """The beginning of the names of all objects, with a slash at its end."""
        return self.prefix.strip("/") + "/" if self.prefix.strip("/") else ""

    @property
    def keeps_checksums(self) -> bool:
        """Whether the server knows SHA-256 checksums. Amazon's do."""
        return self.endpoint is None if self.checksums is None else self.checksums

    def region_name(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return the region to sign for."""
        return self.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"

    def place(self) -> Place:
        """Return where the files are."""
        return attrs.evolve(
            place_at(self.endpoint or "https://amazonaws.com", self.bucket), parts=tuple(self.folder.split("/")[:-1])
        )

    def search(self) -> CredentialFinder:
        """Return the search for the key."""
        if self.access_key_id is None:
            return find_by_botocore(self.region_name(), self.profile, self.credentials_file)
        secret = self.secret_access_key_file or self.secret_access_key or ""
        return find_in_settings(self.access_key_id, secret, self.session_token)
