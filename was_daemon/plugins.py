"""Names for authors of storage plugins. Only the names in `__all__` are promised to stay, and to be found here.

A plugin imports from this module, and from no other of `was_daemon` but `was_daemon.testing`. The plugins in
`storage_plugins/` that belong to the daemon import from the rooms themselves: what they share may change with them, and
a daemon that only keeps files is not to load an HTTP client.
"""

from was_daemon.config.plugins import find_plugins
from was_daemon.config.secret_files import SecretFile
from was_daemon.config.structure import Size
from was_daemon.model.composition import (
    IBackgroundWork,
    IComposedStore,
    IComposedStorePlugin,
    IKeepsKinds,
    INeedsKinds,
    IPromotes,
    IReplaces,
)
from was_daemon.model.errors import (
    AssetError,
    AssetExists,
    AssetNotFound,
    BadName,
    BadRequest,
    BrokenImage,
    CannotCreate,
    CannotList,
    CannotMove,
    NoSpace,
    NoThumbnail,
    NotImplementedHere,
    StoreFailed,
    StoreTimeout,
    StoreUnavailable,
    UploadWithdrawn,
    VersionGone,
)
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    IAssetStorePlugin,
    ICreates,
    IImageProxy,
    IImageService,
    ILocalFiles,
    IMoves,
    IPresence,
    IPreviews,
    IQuirks,
    IReadOnly,
    IRedirects,
    IRooted,
    ISizes,
    IStages,
    IStagingFile,
    IStorePlugin,
    IThumbnails,
    IUnfinished,
    IUnlisted,
)
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.media import media_type
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.auth import FixedLogin, Login, PasswordLogin
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.reader import HTTPReader, asset_stat
from was_daemon.stores.http.transport import trusted_only
from was_daemon.stores.layers.named import named
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.stores.plugin import ComposedStorePlugin, StorePlugin
from was_daemon.stores.unfinished import UnfinishedUploads

__all__ = [
    "Answer",
    "AssetError",
    "AssetExists",
    "AssetKey",
    "AssetNotFound",
    "AssetStat",
    "BadName",
    "BadRequest",
    "BrokenImage",
    "CannotCreate",
    "CannotList",
    "CannotMove",
    "ComposedStorePlugin",
    "FixedLogin",
    "HTTPReader",
    "HTTPRemote",
    "IAssetReader",
    "IAssetStore",
    "IAssetStorePlugin",
    "IBackgroundWork",
    "IComposedStore",
    "IComposedStorePlugin",
    "ICreates",
    "IImageProxy",
    "IImageService",
    "IKeepsKinds",
    "ILocalFiles",
    "IMoves",
    "INeedsKinds",
    "IPresence",
    "IPreviews",
    "IPromotes",
    "IQuirks",
    "IReadOnly",
    "IRedirects",
    "IReplaces",
    "IRooted",
    "ISizes",
    "IStages",
    "IStagingFile",
    "IStorePlugin",
    "IThumbnails",
    "IUnfinished",
    "IUnlisted",
    "Kind",
    "Layout",
    "Login",
    "MemoryReader",
    "NoSpace",
    "NoThumbnail",
    "NotImplementedHere",
    "PasswordLogin",
    "SecretFile",
    "Size",
    "StoreFailed",
    "StorePlugin",
    "StoreTimeout",
    "StoreUnavailable",
    "UnfinishedUploads",
    "Upload",
    "UploadWithdrawn",
    "VersionGone",
    "asset_stat",
    "find_plugins",
    "media_type",
    "named",
    "trusted_only",
]
