"""The layered store: originals in several stores, read from the first that has them, and written to the first.

With it a new store is put in front of an old one without copying beforehand, masters stay where they are, and recent
files lie on a fast disk.
"""

from collections.abc import Mapping, Sequence

import attrs

from was_daemon.config.validators import FieldValidator, at_least
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import Kind
from was_daemon.stores.layers.layered.layer import Layer
from was_daemon.stores.layers.layered.store import LayeredStore
from was_daemon.stores.plugin import ComposedStorePlugin


def _problem_of_layers(layers: Sequence[str]) -> str | None:
    return None if len(layers) > 1 else "at least two stores are needed"


@attrs.frozen
class LayeredOptions:
    """`[stores.NAME]` with `plugin = "layered"`.

    `layers` are names of stores, the first one first. With `promote`, originals that are read from another one are
    copied into the first, `promote_after` seconds later.
    """

    layers: list[str] = attrs.field(validator=FieldValidator(_problem_of_layers))
    promote: bool = False
    promote_after: float = attrs.field(default=10.0, validator=at_least(0.0))


def _parts(options: LayeredOptions) -> Mapping[str, Sequence[str]]:
    return {"layers": options.layers}


def _compose(options: LayeredOptions, _name: str, stores: Mapping[str, IAssetStore]) -> LayeredStore:
    first, *below = options.layers
    return LayeredStore(
        stores[first],
        [Layer(name, stores[name]) for name in below],
        options.promote_after if options.promote else None,
    )


layered = ComposedStorePlugin("layered", LayeredOptions, _parts, _compose, needed_kinds=(Kind.LAYERS,))
