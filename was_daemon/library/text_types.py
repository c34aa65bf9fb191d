"""Encoding of stored texts, which a browser has to be told."""

from contextlib import aclosing

from was_daemon.model.charset import TEXT_SAMPLE
from was_daemon.model.interfaces import IAssetReader
from was_daemon.model.media import is_text


async def text_sample(reader: IAssetReader, media_type: str) -> bytes:
    """Fire with the first bytes of a text, for `text_type`; b"" when `media_type` is that of another kind of file.

    Raises what reading raises.
    """
    if not is_text(media_type):
        return b""
    async with aclosing(reader.read(0, min(TEXT_SAMPLE, reader.stat.size))) as chunks:
        return b"".join([chunk async for chunk in chunks])
