"""Visibility of originals: which ones anybody may read, and for which a token is needed.

Every request asks, so the answer is in memory: 8 bytes for each original of which something is known, a keyed hash of
where it is, with a bit for whether it is private. The key is secret: nobody can find a name with the hash of another.
"""

import enum
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import TypeAlias

import attrs

KEY_BYTES = 16
_HASH_BITS = 61
_STATEMENT_BITS = 3
_BUCKET_BITS = 8

Verdict: TypeAlias = bool | None
"""Whether an original is private; None if nobody says so."""


class Statement(enum.IntEnum):
    """Statement about who may read an original. Of several about one original, the greatest counts."""

    PUBLIC = 1
    UNDECIDED = 2
    PRIVATE = 3
    PUBLIC_BY_HAND = 4
    PRIVATE_BY_HAND = 5

    @property
    def verdict(self) -> Verdict:
        """Whether the original is private by this statement, None if it does not decide."""
        return _VERDICTS[self]


_VERDICTS = {
    Statement.PUBLIC: False,
    Statement.UNDECIDED: None,
    Statement.PRIVATE: True,
    Statement.PUBLIC_BY_HAND: False,
    Statement.PRIVATE_BY_HAND: True,
}


@attrs.frozen
class Entries:
    """Hashes of originals, sorted, each with a last bit that says whether it is private; `private` counts those."""

    hashes: "array[int]" = attrs.field(factory=lambda: array("Q"), repr=False)
    private: int = 0

    def find(self, hashed: int) -> Verdict:
        """Return whether the original with a hash is private."""
        entry, hashes = hashed << 1 | 1, self.hashes
        index = bisect_left(hashes, entry)
        if index < len(hashes) and hashes[index] == entry:
            return True
        return False if index and hashes[index - 1] == entry - 1 else None


class Gathering:
    """Statements about all originals, on their way to being `Entries`."""

    def __init__(self) -> None:
        # Sorted one after the other, they need no lists of a million integers.
        self._buckets = [array("Q") for _ in range(1 << _BUCKET_BITS)]

    def add(self, hashed: int, statement: Statement) -> None:
        """Take one statement about the original with a hash."""
        self._buckets[hashed >> _HASH_BITS - _BUCKET_BITS].append(hashed << _STATEMENT_BITS | statement)

    def entries(self) -> Entries:
        """Return what follows for each original; takes a second for a million."""
        hashes, private = array("Q"), 0
        for bucket in self._buckets:
            # The greatest statement about an original comes last.
            last = {each >> _STATEMENT_BITS: each & (1 << _STATEMENT_BITS) - 1 for each in sorted(bucket)}
            for hashed, statement in last.items():
                verdict = Statement(statement).verdict
                if verdict is not None:
                    hashes.append(hashed << 1 | verdict)
                    private += verdict
        return Entries(hashes, private)


class Visibility:
    """Visibility of all originals, as far as it is known: `entries`, and the later `changes`.

    `private` and `public` are the numbers of originals that are known to be so. With `hides_unknown`, an original of
    which nothing is known is private. Before anything was ever learnt, every original is.
    """

    def __init__(self, key: bytes, hides_unknown: bool = True) -> None:
        self.key = key
        self.entries: Entries | None = None
        self.changes: dict[int, Verdict] = {}
        self.private = self.public = 0
        self._hides_unknown = hides_unknown

    @property
    def hides_unknown(self) -> bool:
        """Whether an original is private of which nothing is known."""
        return self._hides_unknown or self.entries is None

    def hash_of(self, store: str, collection: str, name: str) -> int:
        """Return the hash of an original; `collection` is a directory in the store of that name."""
        message = f"{store}\0{collection}\0{name}".encode()
        return int.from_bytes(blake2b(message, digest_size=8, key=self.key).digest()) >> 64 - _HASH_BITS

    def is_private(self, store: str, collection: str, name: str) -> bool:
        """Return whether a token is needed to read an original."""
        found = self.find(self.hash_of(store, collection, name))
        return self.hides_unknown if found is None else found

    def find(self, hashed: int) -> Verdict:
        """Return what is known of the original with a hash."""
        if hashed in self.changes:
            return self.changes[hashed]
        return self.entries.find(hashed) if self.entries else None

    def replace(self, key: bytes, entries: Entries, changes: Mapping[int, Verdict]) -> None:
        """Know `entries` and `changes`, whose hashes are made with `key`, and nothing else."""
        self.key, self.entries, self.changes = key, entries, {}
        self.private, self.public = entries.private, len(entries.hashes) - entries.private
        self.learn(changes.items())

    def learn(self, verdicts: Iterable[tuple[int, Verdict]]) -> dict[int, Verdict]:
        """Take what originals are now; return those that were something else."""
        changes: dict[int, Verdict] = {}
        for hashed, verdict in verdicts:
            before = self.find(hashed)
            if before is not verdict:
                self.changes[hashed] = changes[hashed] = verdict
                self.private += (verdict is True) - (before is True)
                self.public += (verdict is False) - (before is False)
        return changes
