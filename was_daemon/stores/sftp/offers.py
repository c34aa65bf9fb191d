"""Algorithms that the sides of an SSH connection offer each other in their first packets (RFC 4253, section 7.1).

They are read from the line itself: a server that finds nothing it knows closes the connection, and asyncssh then says
that the connection was lost, or what did not match, whichever it notices first.
"""

from asyncssh.constants import MSG_KEXINIT
from asyncssh.packet import PacketDecodeError, SSHPacket

Offer = dict[str, list[str]]
"""Names of algorithms, by what they are for."""

_FROM_SERVER = " from the server"

_KINDS = (
    *("key exchange", "host key", "encryption", f"encryption{_FROM_SERVER}", "MAC", f"MAC{_FROM_SERVER}"),
    *("compression", f"compression{_FROM_SERVER}"),
)

_MOST = 64 << 10
"""Bytes in which the first packet is looked for; a packet has 35,000 at most."""


class OfferReader:
    """Reads the offer of one side from what it sends."""

    def __init__(self) -> None:
        self.offer: Offer | None = None
        self._sent: bytes | None = b""

    def add(self, sent: bytes) -> None:
        """Add what was sent next."""
        if self._sent is not None:
            self._sent += sent
            self.offer = parse_offer(self._sent)
            if self.offer is not None or len(self._sent) > _MOST:
                self._sent = None


def parse_offer(sent: bytes) -> Offer | None:
    """Return the offer in the beginning of what one side sent, if all of it is there."""
    lines = sent.split(b"\n")
    while lines and not lines[0].startswith(b"SSH-"):
        del lines[0]
    packets = SSHPacket(b"\n".join(lines[1:]))
    try:
        while True:
            packet = SSHPacket(packets.get_string())
            packet.get_byte()  # the length of the padding
            if packet.get_byte() == MSG_KEXINIT:
                packet.get_bytes(16)  # a cookie
                return {kind: [_printable(name) for name in packet.get_namelist()] for kind in _KINDS}
    except PacketDecodeError:
        return None


def _printable(name: bytes) -> str:
    return "".join(character if character.isprintable() else "?" for character in name.decode("ascii", "replace"))


def disagreement(ours: Offer, theirs: Offer) -> str | None:
    """Return for what the sides have no algorithm in common, with the lists of both; None when they can agree."""
    common = {kind: [name for name in ours[kind] if name in theirs[kind]] for kind in _KINDS}
    for direction in ("", _FROM_SERVER):
        if any(mark in name for name in common[f"encryption{direction}"][:1] for mark in ("gcm", "poly1305")):
            del common[f"MAC{direction}"]  # such a cipher needs none
    return (
        "; ".join(
            f"no {kind} in common, sent {','.join(ours[kind])} and received {','.join(theirs[kind])}"
            for kind, names in common.items()
            if not names
        )
        or None
    )
