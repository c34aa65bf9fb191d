"""Plugin objects, with which a plugin's module ends."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from zope.interface import implementer

from was_daemon.model.composition import IComposedStorePlugin
from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin


@implementer(IAssetStorePlugin)
@attrs.frozen
class StorePlugin:
    """Plugin made of its name, the class of its options, and the function that makes a store of them."""

    name: str
    options: type
    create: Callable[[Any], IAssetStore]


@implementer(IComposedStorePlugin)
@attrs.frozen
class ComposedStorePlugin:
    """Plugin of stores that are made of other stores; the functions are those of `IComposedStorePlugin`."""

    name: str
    options: type
    parts: Callable[[Any], Mapping[str, Sequence[str]]]
    compose: Callable[[Any, str, Mapping[str, IAssetStore]], IAssetStore]
    writes_all: bool = False
