"""Plugin objects, with which a plugin's module ends."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs
from zope.interface import implementer

from was_daemon.model.composition import IComposedStorePlugin, IKeepsKinds, INeedsKinds
from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin
from was_daemon.model.keys import Kind


@implementer(IAssetStorePlugin, IKeepsKinds)
@attrs.frozen
class StorePlugin:
    """Plugin made of its name, the class of its options, the function that makes a store of them, and what it keeps."""

    name: str
    options: type
    create: Callable[[Any], IAssetStore]
    kinds: Collection[Kind] = tuple(Kind)


@implementer(IComposedStorePlugin, INeedsKinds)
@attrs.frozen
class ComposedStorePlugin:
    """Plugin of stores that are made of other stores; the functions are those of `IComposedStorePlugin`."""

    name: str
    options: type
    parts: Callable[[Any], Mapping[str, Sequence[str]]]
    compose: Callable[[Any, str, Mapping[str, IAssetStore]], IAssetStore]
    writes_all: bool = False
    needed_kinds: Collection[Kind] = ()
