"""Quotas of collections, and what is used of them."""

import attrs

from was_daemon.model.interfaces import IAssetStore


@attrs.frozen
class Quota:
    """A collection with a quota: the store and directory of its originals, and the bytes that they may have."""

    store: IAssetStore
    directory: str
    size: int

    @property
    def collection_id(self) -> str:
        """The collection's identifier in the record of quotas."""
        return collection_id(self.store, self.directory)


def collection_id(store: IAssetStore, directory: str) -> str:
    """Return the identifier of a collection, the same in all daemons that have its store."""
    return f"{store}\n{directory}"


@attrs.frozen
class Usage:
    """Bytes of originals that a collection has, None before they were counted, and may have."""

    used: int | None
    quota: int
