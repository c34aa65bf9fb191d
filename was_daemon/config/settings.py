"""Settings, frozen, with their defaults and ranges. `docs/configuration.md` explains each of them."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

import attrs

from was_daemon.config.catalogue_settings import CatalogueSettings, ChecksumSettings, FixitySettings
from was_daemon.config.discovery_settings import DiscoverySettings
from was_daemon.config.secret_files import HashFile, SecretFile
from was_daemon.config.structure import Duration, Size
from was_daemon.config.validators import (
    at_least,
    in_range,
    matching,
    not_empty,
    one_of,
    optional,
    specify_url,
)
from was_daemon.model.interfaces import IStorePlugin
from was_daemon.model.pyramids import TILE_SIZE
from was_daemon.model.redirect import Redirect

Network = IPv4Network | IPv6Network

TokensForGet = bool | Literal["private"]
"""Whether reading needs a token: never, always, or for what is private."""

PORT = 8080
_MAX_UPLOAD = Size(4 << 30)
_WORKER_MEMORY = Size(1 << 30)
_SPOOL_SIZE = Size(2 << 30)
_MIN_RATE = Size(1 << 10)
_MIN_FREE = Size(256 << 20)
_LEAST_MEMORY = 128 << 20
_LEAST_SECONDS = 0.001
_WEEK = 7 * 24 * 3600
_FIVE_MINUTES = Duration(300)
_TWELVE_HOURS = Duration(12 * 3600)


def default_spool(environ: Mapping[str, str], uid: int) -> Path:
    """Return systemd's cache directory for the service, else one of the user `uid` below the temporary directory."""
    given = environ.get("CACHE_DIRECTORY")
    return Path(given) if given else Path(tempfile.gettempdir()) / f"was-daemon-{uid}"


def _state_directory(environ: Mapping[str, str]) -> Path | None:
    """Return the directory of the console in systemd's state directory for the service, None without one."""
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) / "console" if given else None


@attrs.frozen
class ServerSettings:
    """Section `[server]`."""

    listen: list[str] = attrs.field(factory=lambda: [f"tcp:{PORT}"], validator=not_empty)
    admin_listen: list[str] = attrs.field(factory=list)
    public_url: str | None = None
    key: str | None = attrs.field(default=None, repr=False)
    key_file: SecretFile | None = None
    insecure_no_key: bool = False
    token_window: int = attrs.field(default=150, validator=at_least(0))
    require_token_for_get: TokensForGet = False
    static_access: bool = True
    max_age: int = attrs.field(default=300, validator=at_least(0))
    stale_while_revalidate: int = attrs.field(default=_WEEK, validator=at_least(0))
    overwrite: bool = True
    max_upload: Size = _MAX_UPLOAD
    trusted_proxies: list[Network] = attrs.field(factory=list)
    shutdown_grace: float = attrs.field(default=30.0, validator=at_least(0))
    nginx_location: str = attrs.field(
        default="/was-files", validator=matching(r"(/[\w.~-]+)+", 'a path such as "/was-files"')
    )
    workers: int = attrs.field(default=1, validator=at_least(1))

    @property
    def tells_private(self) -> bool:
        """Whether a token is needed for what is private, and for nothing else."""
        return self.require_token_for_get == "private"  # noqa: S105  # which is no token


@attrs.frozen
class AdminSettings:
    """Section `[admin]`: the console on the admin endpoints.

    `password_file` has the hashed password; `history` is the directory of what plots show, None for one in the spool.
    """

    password_file: HashFile | None = None
    public_url: str | None = None
    session: Duration = attrs.field(default=_TWELVE_HOURS, validator=at_least(60))
    history: Path | None = attrs.field(factory=lambda: _state_directory(os.environ))


@attrs.frozen
class LimitSettings:
    """Section `[limits]`."""

    connections_per_address: int = attrs.field(default=256, validator=at_least(0))
    header_timeout: float = attrs.field(default=20.0, validator=at_least(_LEAST_SECONDS))
    idle_timeout: float = attrs.field(default=60.0, validator=at_least(_LEAST_SECONDS))
    min_rate: Size = attrs.field(default=_MIN_RATE, validator=at_least(1))
    pending_uploads: int = attrs.field(default=128, validator=at_least(1))
    pending_size: Size | None = None
    min_free: Size = _MIN_FREE


@attrs.frozen
class CollectionSettings:
    """Entry `map.NAME` of the section `[collections]`."""

    directory: str
    store: str | None = None
    key: str | None = attrs.field(default=None, repr=False)
    key_file: SecretFile | None = None
    quota: Size | None = None


@attrs.frozen
class CollectionsSettings:
    """Section `[collections]`."""

    mode: str = attrs.field(default="single", validator=one_of("single", "map", "auto"))
    store: str | None = None
    recount: float = attrs.field(default=3600.0, validator=at_least(1))
    map: dict[str, CollectionSettings] = attrs.field(factory=dict)

    @property
    def directories(self) -> dict[str, str] | None:
        """The directories of collections by name: None where any name is a directory, empty where there are none."""
        return None if self.mode == "auto" else {name: each.directory for name, each in self.map.items()}


@attrs.frozen
class ThumbnailSettings:
    """Section `[thumbnails]`."""

    store: str | None = None
    workers: int = attrs.field(factory=lambda: len(os.sched_getaffinity(0)), validator=at_least(1))
    max_scale: int = attrs.field(default=4096, validator=at_least(1))
    max_pixels: int = attrs.field(default=500_000_000, validator=at_least(1))
    memory: Size = attrs.field(default=_WORKER_MEMORY, validator=at_least(_LEAST_MEMORY))
    timeout: float = attrs.field(default=30.0, validator=at_least(_LEAST_SECONDS))
    queue: int = attrs.field(default=1000, validator=at_least(1))
    max_size: Size | None = None
    nginx_marker: Path | None = None
    warm: list[int] = attrs.field(factory=list, validator=at_least(1, each=True))


@attrs.frozen
class ZoomSettings:
    """Section `[zoom]`."""

    max_size: Size | None = None
    max_width: int = attrs.field(default=4096, validator=at_least(TILE_SIZE))
    max_height: int = attrs.field(default=4096, validator=at_least(TILE_SIZE))
    max_area: int = attrs.field(default=4096 * 4096, validator=at_least(TILE_SIZE * TILE_SIZE))
    address_lifetime: float = attrs.field(default=24 * 3600.0, validator=at_least(60))
    warm: bool = False


@attrs.frozen
class SpoolSettings:
    """Section `[spool]`."""

    path: Path = attrs.field(factory=lambda: default_spool(os.environ, os.geteuid()))
    max_size: Size = _SPOOL_SIZE


@attrs.frozen
class LogSettings:
    """Section `[log]`."""

    format: str = attrs.field(default="text", validator=one_of("text", "json"))


@attrs.frozen
class VisibilitySettings:
    """Section `[visibility]`: `unknown` is what an original is of which neither Specify nor anybody else says so."""

    unknown: str = attrs.field(default="private", validator=one_of("private", "public"))


@attrs.frozen
class SpecifySettings:
    """Section `[specify.NAME]`: a database of Specify, of which only exports are read if there is no `url`."""

    url: str | None = attrs.field(default=None, validator=specify_url)
    password_file: SecretFile | None = None
    coll: str | None = None
    every: Duration = attrs.field(default=_FIVE_MINUTES, validator=at_least(1))
    full_at: str = attrs.field(
        default="03:00", validator=matching(r"([01][0-9]|2[0-3]):[0-5][0-9]", 'a time such as "03:00"')
    )
    min_rows: int = attrs.field(default=1, validator=at_least(0))
    min_share: float = attrs.field(default=0.9, validator=in_range(0, 1))


@attrs.frozen
class TrashSettings:
    """Section `[trash]`: deleted originals, and with `replaced` replaced ones, are kept for `keep` seconds.

    Without `keep` there is no trash.
    """

    keep: Duration | None = attrs.field(default=None, validator=optional(at_least(1)))
    replaced: bool = False
    count_in_quotas: bool = False


@attrs.frozen
class PluginSettings:
    """Section `[plugins]`."""

    path: list[Path] = attrs.field(factory=list)


@attrs.frozen
class Sections:
    """The sections of a configuration, under their names, but for those of stores and databases of Specify."""

    server: ServerSettings
    admin: AdminSettings
    discovery: DiscoverySettings
    limits: LimitSettings
    collections: CollectionsSettings
    thumbnails: ThumbnailSettings
    zoom: ZoomSettings
    spool: SpoolSettings
    log: LogSettings
    catalogue: CatalogueSettings
    trash: TrashSettings
    visibility: VisibilitySettings
    fixity: FixitySettings
    checksums: ChecksumSettings
    plugins: PluginSettings


@attrs.frozen
class StoreSettings:
    """Section `[stores.NAME]`: the plugin, an instance of its options class, and the keys common to all plugins."""

    plugin: IStorePlugin
    options: Any
    redirect: Redirect | None = None
    redirect_thumbnails: bool = False
    read_only: bool = False


@attrs.frozen
class Settings:
    """The whole configuration.

    `default_store` is the store of collections that name none; `key_source` says where the key is; `plugins` are
    the plugins that stores could use, by name; `plugin_path` are the directories searched for plugins beside the
    daemon's own; `weak_keys` are lines on keys that are easy to guess, with no path and no key in them; `warnings`
    are lines on what else the operator should change.
    """

    server: ServerSettings
    admin: AdminSettings
    discovery: DiscoverySettings
    limits: LimitSettings
    stores: Mapping[str, StoreSettings]
    default_store: str
    collections: CollectionsSettings
    thumbnails: ThumbnailSettings
    zoom: ZoomSettings
    spool: SpoolSettings
    log: LogSettings
    catalogue: CatalogueSettings
    specify: Mapping[str, SpecifySettings]
    trash: TrashSettings
    visibility: VisibilitySettings
    fixity: FixitySettings
    checksums: ChecksumSettings
    key_source: str
    debug: bool
    plugins: Mapping[str, IStorePlugin]
    plugin_path: Sequence[Path]
    weak_keys: list[str]
    warnings: list[str]

    @property
    def console_directory(self) -> Path:
        """The directory of what the console keeps."""
        return self.admin.history or self.spool.path / "console"
