"""Interfaces of stores that are made of other stores of the configuration, and of their plugins."""

# A zope interface describes its methods as callers see them: without self, and without a body.
# mypy: disable-error-code="empty-body"
# ruff: noqa: N805

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zope.interface import Attribute, Interface

from was_daemon.model.interfaces import IAssetStore, IStorePlugin


class IComposedStore(Interface):
    """A store made of other stores, which are prepared, checked and closed on their own."""

    parts: Sequence[IAssetStore] = Attribute("The stores it is made of.")


class IBackgroundWork(Interface):
    """A store that works by itself while a daemon uses it; a command does not start that work."""

    def start() -> None:
        """Begin the work, once; `IAssetStore.close` ends it."""


class IComposedStorePlugin(IStorePlugin):
    """A factory of stores from tables of the configuration that name other stores."""

    def parts(options: Any) -> Mapping[str, Sequence[str]]:
        """Return the names of the stores it needs, by the key of the table that names them."""

    def compose(options: Any, name: str, stores: Mapping[str, IAssetStore]) -> IAssetStore:
        """Return the store for `options`, called `name`; touches no file or network yet.

        `stores` has the stores that `parts` names.
        """


def stores_in(store: IAssetStore) -> Iterator[IAssetStore]:
    """Yield a store, and all stores that it is made of."""
    yield store
    if IComposedStore.providedBy(store):
        for part in IComposedStore(store).parts:
            yield from stores_in(part)
