"""Plugin objects, with which a plugin's module ends."""

from collections.abc import Callable
from typing import Any

import attrs
from zope.interface import implementer

from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin


@implementer(IAssetStorePlugin)
@attrs.frozen
class StorePlugin:
    """Plugin made of its name, the class of its options, and the function that makes a store of them."""

    name: str
    options: type
    create: Callable[[Any], IAssetStore]
