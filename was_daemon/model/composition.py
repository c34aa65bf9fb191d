"""Interfaces of stores that are made of other stores of the configuration, and of their plugins."""

# A zope interface describes its methods as callers see them: without self, and without a body.
# mypy: disable-error-code="empty-body"
# ruff: noqa: N805

from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
from zope.interface import Attribute, Interface

from was_daemon.model.interfaces import AssetStat, IAssetStore, IStorePlugin
from was_daemon.model.keys import AssetKey, Kind


class IComposedStore(Interface):
    """A store made of other stores, which are prepared, checked and closed on their own."""

    parts: Sequence[IAssetStore] = Attribute("The stores it is made of; what is written goes to the first.")


class IBackgroundWork(Interface):
    """A store that works by itself while a daemon uses it; a command does not start that work."""

    def start() -> None:
        """Begin the work, once; `IAssetStore.close` ends it."""


class IPromotes(Interface):
    """A composed store that may have an original in another part than the one that takes what is written."""

    def promote(key: AssetKey) -> Awaitable[bool]:
        """Copy an original into the part that takes what is written, verified; fire with whether that was done.

        Nothing is done if there is one, or if somebody replaces or deletes it meanwhile. Raises `AssetNotFound`, and
        `CannotMove` where that part cannot move assets.
        """


@attrs.frozen
class PromotionState:
    """The promotions of one process since its start: `waiting` ones, the originals `promoted`, and `failed` attempts.

    `problem` is why there are none at the moment, "" if that is not so.
    """

    waiting: int = 0
    promoted: int = 0
    failed: int = 0
    problem: str = ""


class IPromoter(Interface):
    """A composed store that promotes by itself, in the background, what is read."""

    promotions: PromotionState = Attribute("How far it has come.")


class IReplaces(Interface):
    """A composed store that tells what an upload replaces without waiting for parts that are slow or down."""

    def find_replaced(key: AssetKey) -> Awaitable[AssetStat | None]:
        """Fire with the version that an upload of `key` replaces, None if there is none.

        A part other than the one that takes what is written is left out when it does not answer soon, or fails.
        """


class IKeepsKinds(Interface):
    """A plugin that says what its stores keep; those of others keep all kinds of assets."""

    kinds: Collection[Kind] = Attribute("The kinds of assets that can be written to its stores.")


class INeedsKinds(Interface):
    """A plugin of composed stores that keep something of their own in the first store they are made of."""

    needed_kinds: Collection[Kind] = Attribute("The kinds of assets that the first store has to keep.")


class IComposedStorePlugin(IStorePlugin):
    """A factory of stores from tables of the configuration that name other stores."""

    writes_all: bool = Attribute("Whether what is written goes to all stores it needs, not only to the first.")

    def parts(options: Any) -> Mapping[str, Sequence[str]]:
        """Return the names of the stores it needs, by the key of the table that names them."""

    def compose(options: Any, name: str, stores: Mapping[str, IAssetStore]) -> IAssetStore:
        """Return the store for `options`, called `name`; touches no file or network yet.

        `stores` has the stores that `parts` names.
        """


def written_part(store: IAssetStore) -> IAssetStore:
    """Return the store that takes what is written to a store: that itself, or the first store that it is made of."""
    while IComposedStore.providedBy(store):
        store = IComposedStore(store).parts[0]
    return store


def stores_in(store: IAssetStore) -> Iterator[IAssetStore]:
    """Yield a store, and all stores that it is made of."""
    yield store
    if IComposedStore.providedBy(store):
        for part in IComposedStore(store).parts:
            yield from stores_in(part)
