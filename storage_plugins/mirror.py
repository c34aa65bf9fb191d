"""The mirror store: what one store has, others have, too.

Uploads are acknowledged when the primary has them. The copies follow by way of a journal on a disk of this machine,
also after days in which they could not be reached. What the primary has lost is read from them.
"""

from collections.abc import Mapping
from pathlib import Path

import attrs

from was_daemon.config.validators import at_least, not_empty
from was_daemon.model.interfaces import IAssetStore
from was_daemon.stores.layers.mirror.journal import MirrorJournal
from was_daemon.stores.layers.mirror.store import MirrorStore
from was_daemon.stores.plugin import ComposedStorePlugin

_JOURNAL = Path("/var/lib/was-daemon/mirror")


@attrs.frozen
class MirrorOptions:
    """`[stores.NAME]` with `plugin = "mirror"`.

    `primary` and `copies` are names of stores. `journal` is the directory of the journal, on a disk of this machine,
    better not the primary's. Without `read_copies`, what the primary has lost is answered as not there. `parallel` is
    the number of files that are sent to a copy at a time.
    """

    primary: str
    copies: list[str] = attrs.field(validator=not_empty)
    journal: Path = _JOURNAL
    read_copies: bool = True
    parallel: int = attrs.field(default=4, validator=at_least(1))


def _compose(options: MirrorOptions, name: str, stores: Mapping[str, IAssetStore]) -> IAssetStore:
    primary, copies = stores[options.primary], {each: stores[each] for each in options.copies}
    settings = f"{primary}, with copies in {' and '.join(f'{each} ({copy})' for each, copy in copies.items())}"
    return MirrorStore(
        name,
        primary,
        copies,
        MirrorJournal(options.journal / f"{name}.sqlite", options.copies, settings=settings),
        reads_copies=options.read_copies,
        parallel=options.parallel,
    )


mirror = ComposedStorePlugin(
    "mirror",
    MirrorOptions,
    lambda options: {"primary": [options.primary], "copies": options.copies},
    _compose,
    writes_all=True,
)
