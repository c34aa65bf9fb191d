"""Short sounds and films, encoded by FFmpeg's libraries, and Ogg pages of codecs that these do not encode."""

import io
import struct
import wave
from fractions import Fraction
from functools import cache

import av
import numpy

SECONDS = 2
RATE = 48_000
FILM = (320, 240)
_FRAMES = 10
"""Frames per second."""

SOUNDS = {"mp3": "libmp3lame", "flac": "flac", "opus": "libopus", "m4a": "aac", "oga": "flac", "mka": "libopus"}
FILMS = {"mp4": "libx264", "mov": "mpeg4", "webm": "libvpx", "mkv": "libx264"}
_CONTAINERS = {"opus": "ogg", "m4a": "mp4", "oga": "ogg", "mka": "matroska", "mkv": "matroska"}


def _tone() -> numpy.ndarray:
    moments = numpy.arange(SECONDS * RATE) / RATE
    return (numpy.sin(2 * numpy.pi * 440 * moments) * 8000).astype(numpy.int16)


@cache
def sound(extension: str) -> bytes:
    """A tone of `SECONDS`, in the codec and the container of an extension."""
    if extension == "wav":
        return wav(_tone().tobytes())
    out = io.BytesIO()
    with av.open(out, "w", format=_CONTAINERS.get(extension, extension)) as container:
        _add_sound(container, SOUNDS[extension])
    return out.getvalue()


@cache
def film(extension: str, **options: str) -> bytes:
    """A film of `SECONDS` and the size `FILM`, in the codec and the container of an extension."""
    out = io.BytesIO()
    with av.open(out, "w", format=_CONTAINERS.get(extension, extension), container_options=options) as container:
        stream = container.add_stream(FILMS[extension], rate=_FRAMES)
        stream.width, stream.height, stream.pix_fmt = *FILM, "yuv420p"
        for number in range(SECONDS * _FRAMES):
            picture = numpy.full((FILM[1], FILM[0], 3), (200, 30, 30), numpy.uint8)
            picture[:, : 10 + number * 10] = (30, 30, 200)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def _add_sound(container: av.container.OutputContainer, codec: str) -> None:
    stream = container.add_stream(codec, rate=RATE, layout="mono")
    frame = av.AudioFrame.from_ndarray(_tone()[None, :], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def wav(samples: bytes) -> bytes:
    """A WAV file of 16-bit samples in one channel."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples)
    return out.getvalue()


def lying_on_its_side(movie: bytes) -> bytes:
    """A film in MP4 whose picture is to be turned by 90 degrees, as phones write it."""
    at = movie.index(b"tkhd") + 4 + 40
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    return movie[:at] + turned + movie[at + len(turned) :]


def ogg(packet: bytes, position: int) -> bytes:
    """An Ogg file of one stream, whose first packet is given, that ends at a position."""
    pages = ((2, 0, packet), (4, position, b"end"))
    return b"".join(
        struct.pack("<4sBBqIIIBB", b"OggS", 0, flags, end, 7, number, 0, 1, len(content)) + content
        for number, (flags, end, content) in enumerate(pages)
    )
