"""The settings of a store on another asset server."""

from pathlib import Path

import attrs

from was_daemon.config.secret_files import SecretFile
from was_daemon.config.validators import FieldValidator, at_least, optional
from was_daemon.model.places import Place
from was_daemon.stores.http.urls import as_sent, place_at, url_problem

_DISCOVERY = "/web_asset_store.xml"


@attrs.frozen
class AssetServerOptions:
    """`[stores.NAME]` with `plugin = "asset-server"`; ValueError when the settings contradict each other.

    `collections` has the names that the server knows for the directories of collections here, `collection` the name for
    all that have none of their own. `ca_file` holds the certificates, in PEM format, to trust instead of the system's.
    `timeout` is in seconds without progress.
    """

    url: str = attrs.field(validator=FieldValidator(url_problem))
    key: str | None = attrs.field(default=None, repr=False)
    key_file: SecretFile | None = None
    collection: str | None = None
    collections: dict[str, str] = attrs.field(factory=dict)
    public_url: str | None = attrs.field(default=None, validator=optional(FieldValidator(url_problem)))
    read_only: bool = False
    ca_file: Path | None = None
    timeout: float = attrs.field(default=60.0, validator=at_least(0.001))

    def __attrs_post_init__(self) -> None:
        if self.key is not None and self.key_file is not None:
            raise ValueError("either key or key_file is needed, not both")
        if self.collection is not None and self.collections:
            raise ValueError("either collection or collections is needed, not both")

    @property
    def address(self) -> str:
        """The URL of the server, as requests are sent to it, without a slash at its end."""
        return _base(self.url)

    @property
    def public_address(self) -> str:
        """The URL of the server for clients, without a slash at its end."""
        return _base(self.public_url or self.url)

    def place(self) -> Place:
        """Return where the files are: collections of one server are apart from each other."""
        names = sorted(f"{directory} {name}" for directory, name in self.collections.items())
        return place_at(self.address, self.collection or "", *names)

    def secret(self) -> str | None:
        """Return the attachment key, None without one; raises what `SecretFile.text` does."""
        return self.key_file.text() if self.key_file else self.key

    def collection_of(self, directory: str) -> str:
        """Return the name that the server knows for the collection in a directory here."""
        if self.collection is not None:
            return self.collection
        return self.collections.get(directory, directory)


def _base(url: str) -> str:
    # Administrators know the address that is entered in Specify.
    return as_sent(url).rstrip("/").removesuffix(_DISCOVERY)
