"""The password of the console: how a new one is made, hashed and compared. Hashing takes a tenth of a second."""

import base64
import hashlib
import hmac
import re
import secrets

_COST, _BLOCK_SIZE, _PARALLEL = 1 << 15, 8, 1
"""The parameters of scrypt (RFC 7914): 32 MiB of memory for each hash."""

_LARGEST_COST = 1 << 17
_MEMORY = 256 << 20
_SALT_BYTES, _HASH_BYTES = 16, 32
_HASHED = re.compile(r"scrypt\$([0-9]{1,7})\$([0-9]{1,2})\$([0-9]{1,2})\$([A-Za-z0-9+/=]{24})\$([A-Za-z0-9+/=]{44})")

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Letters and digits that look different from each other, whatever the font."""

_GROUPS, _GROUP_LENGTH = 4, 5


class NotHashed(ValueError):
    """A text that is no hash of a password; it may be a password."""


def new_password() -> str:
    """Return a new password of 99 bits, in groups that people can type on a phone."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)


def hash_password(password: str) -> str:
    """Return a line with the hash of `password`, its salt and its parameters."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _scrypt(password, salt, _COST, _BLOCK_SIZE, _PARALLEL)
    return f"scrypt${_COST}${_BLOCK_SIZE}${_PARALLEL}${_text(salt)}${_text(digest)}"


def check_hashed(line: str) -> None:
    """Raise `NotHashed` unless `line` is one that `hash_password` returns."""
    _parse(line)


def is_password(password: str, line: str) -> bool:
    """Return whether `password` is the one that `line` is the hash of; raises `NotHashed`."""
    cost, block_size, parallel, salt, digest = _parse(line)
    return hmac.compare_digest(_scrypt(password, salt, cost, block_size, parallel), digest)


def _parse(line: str) -> tuple[int, int, int, bytes, bytes]:
    match = _HASHED.fullmatch(line)
    if not match:
        raise NotHashed("is not the hash of a password")
    cost, block_size, parallel = int(match[1]), int(match[2]), int(match[3])
    if not (1 < cost <= _LARGEST_COST and cost & (cost - 1) == 0 and 1 <= block_size <= 16 and 1 <= parallel <= 4):
        raise NotHashed("has parameters of scrypt that are not used here")
    return cost, block_size, parallel, base64.b64decode(match[4]), base64.b64decode(match[5])


def _scrypt(password: str, salt: bytes, cost: int, block_size: int, parallel: int) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=cost, r=block_size, p=parallel, maxmem=_MEMORY, dklen=_HASH_BYTES)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
