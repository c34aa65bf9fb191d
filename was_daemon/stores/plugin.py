"""What a plugin's module ends with."""

from collections.abc import Callable
from typing import Any

import attrs
from zope.interface import implementer

from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin


@implementer(IAssetStorePlugin)
@attrs.frozen
class StorePlugin:
    """A plugin made of its parts: see `IAssetStorePlugin`."""

    name: str
    options: type
    create: Callable[[Any], IAssetStore]
