"""The seam between derivatives in general and each kind of them.

A new kind is a recipe, a `DerivativeKind` and a worker command. Finding, making once, publishing, marking, evicting and
forgetting are the same for all kinds, see `cache`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import attrs
from twisted.protocols import amp

from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.marks import shows
from was_daemon.derivatives.stored import open_stored
from was_daemon.library.collections import Collections, Original
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey


class Recipe(Protocol):
    """The parameters of one derivative, as a hashable value: equal recipes give equal files of one original."""

    def key(self, original: AssetKey) -> AssetKey:
        """Return the key of the derivative of an original."""


R = TypeVar("R", bound=Recipe)


@attrs.frozen
class CommandInput(Generic[R]):
    """Arguments of a kind's worker command, and the stored derivative to read in place of the original, if any."""

    arguments: dict[str, Any]
    source: R | None = None


class DerivativeKind(ABC, Generic[R]):
    """One kind of derivative: its recipes, the command that makes them, and where its files are.

    `command` takes the source and then a file to write for each recipe. `evictor`, if any, bounds what is stored.
    """

    recipe: type[R]
    command: ClassVar[type[amp.Command]]
    evictor: Evictor | None = None
    is_kept_in_memory: ClassVar[bool] = True
    """Whether requests that wait for a derivative get its bytes from memory; else they look it up."""

    def refusal_scope(self, recipe: R) -> Any:
        """Return what else is refused, without trying, when a worker has refused to make one of this recipe."""
        return self.recipe

    @abstractmethod
    def inputs(self, original: Original, recipes: Sequence[R]) -> Iterator[CommandInput[R]]:
        """Yield inputs from which these derivatives can be made, the best first; the last one reads the original."""

    @abstractmethod
    async def forget(self, store: IAssetStore, original: AssetKey, exists: bool) -> None:
        """Remove all derivatives of this kind of an original, of every version, and nothing else.

        Without an original (`exists`), a file that carries no mark may be somebody else's.
        """

    async def forget_remains(self, store: IAssetStore, original: AssetKey) -> None:
        """Remove derivatives that are left over from an earlier original of a name that is new now."""
        await self.forget(store, original, exists=False)

    async def start(self, collections: Collections, before: "DerivativeKind[R] | None") -> None:
        """Look through what is stored, if `forget` has to know; `before` is this kind under the last configuration."""

    def made(self, original: Original, recipes: Sequence[R], chosen: CommandInput[R], answer: dict[str, Any]) -> None:
        """Note that a worker has made derivatives from the `chosen` input, and what the command answered."""

    async def find(self, original: Original, recipe: R, fetch: bool = True) -> IAssetReader | None:
        """Open the stored derivative of this version, if there is one; the caller closes it.

        Without `fetch`, for callers that need no bytes, only the mark is read.
        """
        store, derivative = original.place.thumbnails, recipe.key(original.key)
        try:
            reader = await (open_stored(store, derivative) if fetch else store.open(derivative))
        except AssetNotFound:
            return None
        if await shows(reader, original.stat) and await self.belongs_to(reader, derivative, original.key):
            if self.evictor:
                self.evictor.used(derivative)
            return reader
        await reader.close()
        return None

    async def belongs_to(self, reader: IAssetReader, derivative: AssetKey, original: AssetKey) -> bool:
        """Fire with whether a stored derivative is of this original, where several share its key."""
        return True

    async def remove(self, store: IAssetStore, derivative: AssetKey, original: AssetKey) -> None:
        """Remove a derivative, if it is stored and belongs to this original."""
        with suppress(AssetNotFound):
            reader = await open_stored(store, derivative)
            try:
                is_own = await self.belongs_to(reader, derivative, original)
            finally:
                await reader.close()
            if is_own:
                await store.delete(derivative)
