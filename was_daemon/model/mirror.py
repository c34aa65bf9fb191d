"""Values and the interface of mirrors: stores whose assets are also in copies."""

# See `was_daemon.model.interfaces`.
# mypy: disable-error-code="empty-body"
# ruff: noqa: N805

import enum
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import attrs
from zope.interface import Attribute, Interface

from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey, Kind


class Action(enum.Enum):
    """The action in a copy that follows a change of the primary."""

    WRITE = "write"
    DELETE = "delete"


@attrs.frozen
class CopyState:
    """The backlog of one copy: the changes of the primary that it does not have yet.

    `files` changes with `bytes` wait for it, for `lag` seconds the longest of them. `failing` of them have failed by
    themselves; `problem` is why the last attempt failed, "" after one that did not. `lost` files are of no use to
    wait for: the primary does not have the version that was to be copied. `compared` is the Unix time of the last
    comparison of all files, None before the first.
    """

    files: int = 0
    bytes: int = 0
    lag: float = 0.0
    failing: int = 0
    lost: int = 0
    problem: str = ""
    compared: float | None = None


@attrs.frozen
class CopiedVersion:
    """The version of an asset that is in a copy: the primary's size, time and ETag of it, and its ETag in the copy.

    `etag` is "" if it is not known which version of the primary's that was; `sha256` is None until its bytes were read.
    """

    size: int
    modified: float
    etag: str
    copy_etag: str
    sha256: str | None = None

    @property
    def stat(self) -> AssetStat:
        """The size, time and ETag that the primary told of the version."""
        return AssetStat(self.size, self.modified, self.etag)


@attrs.frozen
class Known:
    """The journal's knowledge of an asset in a copy: the version there, and the action that waits.

    `waits` is also true while a change is under way. `run` is the number of the last comparison that found both sides
    alike.
    """

    version: CopiedVersion | None = None
    waits: Action | None = None
    run: int = 0


class IMirrorJournal(Interface):
    """The part of a mirror's journal that comparisons and checks use. Every method may raise `StoreUnavailable`."""

    def other_settings() -> Awaitable[Sequence[str]]:
        """Fire with descriptions of the mirrors that other processes, with other settings, use this journal for."""

    def free() -> Awaitable[int | None]:
        """Fire with the free bytes on the disk of the journal, None where that is not known."""

    def begin_run(copy: str, deep: bool, scope: Sequence[str]) -> Awaitable[int]:
        """Fire with the number of a comparison: that of the last one if it was the same and has not ended."""

    def end_run(copy: str, is_whole: bool) -> Awaitable[None]:
        """Note that a comparison has come to its end; from one of all files on, no other files can be in the copy."""

    def look(copy: str, key: AssetKey) -> Awaitable[Known]:
        """Fire with what is known of an asset in a copy."""

    def note(copy: str, key: AssetKey, before: Known, version: CopiedVersion, run: int) -> Awaitable[bool]:
        """Note the version in the copy that comparison `run` found; fire with False if there was a change meanwhile.

        `before` is what `look` fired with before.
        """

    def current(key: AssetKey) -> Awaitable[Sequence[str]]:
        """Fire with the copies that are known to have the last version of an asset that was stored."""

    def enqueue(copy: str, key: AssetKey, size: int) -> Awaitable[None]:
        """Have the copy get what the primary has, as after an upload."""


class ICopyReader(IAssetReader):
    """A reader of a version in a copy: the primary, which may be a directory of this machine, does not give it."""


class IMirror(Interface):
    """A store whose assets are also in copies."""

    primary: IAssetStore = Attribute("The store that has all assets.")
    copies: Mapping[str, IAssetStore] = Attribute("The stores that follow it, by name.")
    kinds: Sequence[Kind] = Attribute("The kinds of assets that are copied.")
    journal: Any = Attribute("An `IMirrorJournal`.")
    fallbacks: int = Attribute("How often this process has read from a copy, as the primary could not be read.")
    copied: Mapping[str, int] = Attribute("Changes that this process has done in the copies, by name.")
    failures: Mapping[str, int] = Attribute("Attempts of this process at that which failed, by the copy's name.")

    def states() -> Awaitable[Mapping[str, CopyState]]:
        """Fire with what the copies lack, by name; also where another process follows. Raises `StoreUnavailable`."""

    def warnings() -> Sequence[str]:
        """Return what an operator should know of the primary's losses, a sentence each."""
