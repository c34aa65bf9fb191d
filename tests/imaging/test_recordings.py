"""Lengths of recordings and sizes of their pictures, of the kinds that browsers play."""

import io
import struct

import pytest

from tests.support import recordings
from tests.support.recordings import FILM, FILMS, RATE, SECONDS, SOUNDS
from was_daemon.imaging.recordings.read import read_recording
from was_daemon.model.descriptions import Recording


def read(content: bytes) -> Recording | None:
    return read_recording(io.BytesIO(content))


def duration(content: bytes) -> float:
    found = read(content)
    assert found and (found.width, found.height) == (None, None)
    return found.duration


@pytest.mark.parametrize("extension", ["wav", *SOUNDS])
def test_a_sound_has_a_length(extension: str) -> None:
    assert duration(recordings.sound(extension)) == pytest.approx(SECONDS, abs=0.06)


@pytest.mark.parametrize("extension", FILMS)
def test_a_film_has_a_length_and_a_size(extension: str) -> None:
    assert read(recordings.film(extension)) == Recording(SECONDS, *FILM)


def test_a_film_made_by_a_phone_that_was_held_upright_is_higher_than_wide() -> None:
    assert read(recordings.lying_on_its_side(recordings.film("mp4"))) == Recording(SECONDS, *FILM[::-1])


def test_the_length_of_an_mp3_without_a_table_of_contents_is_that_of_its_frames() -> None:
    whole = recordings.sound("mp3")
    first = whole.index(b"\xff\xfb")
    assert b"Info" in whole or b"Xing" in whole
    bare = whole.replace(b"Info", b"\0\0\0\0").replace(b"Xing", b"\0\0\0\0")[first:]
    for content in (bare, bare + b"TAG" + bytes(125), b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + bare):
        assert duration(content) == pytest.approx(SECONDS, abs=0.1)


def test_the_length_of_an_mp3_may_be_in_the_table_of_another_encoder() -> None:
    frame = b"\xff\xfb\x90\xc4" + bytes(32) + b"VBRI" + struct.pack(">HHHII", 1, 0, 0, 0, 1000) + bytes(363)
    assert len(frame) == 417
    assert duration(frame * 2) == pytest.approx(1000 * 1152 / 44100)


def test_ogg_in_its_older_codecs() -> None:
    vorbis = b"\x01vorbis" + bytes(5) + struct.pack("<I", 44100) + bytes(14)
    speex = b"Speex   " + bytes(28) + struct.pack("<I", 16000) + bytes(40)
    assert duration(recordings.ogg(vorbis, 88200)) == 2
    assert duration(recordings.ogg(speex, 8000)) == 0.5
    size = (320).to_bytes(3, "big") + (240).to_bytes(3, "big")
    theora = b"\x80theora\3\2\1\0\x14\0\x0f" + size + bytes(2) + struct.pack(">II", 25, 1) + bytes(10) + b"\0\xc0"
    assert read(recordings.ogg(theora, 1 << 6 | 49)) == Recording(2, 320, 240)


def test_a_wav_may_be_larger_than_its_numbers_or_not_finished() -> None:
    plain = recordings.sound("wav")
    assert duration(plain[:40] + bytes(4) + plain[44:]) == SECONDS
    sizes = b"ds64" + struct.pack("<IQQQI", 28, len(plain), 5 * 2 * RATE, 0, 0)
    large = b"RF64\xff\xff\xff\xffWAVE" + sizes + plain[12:40] + b"\xff\xff\xff\xff" + plain[44:]
    assert duration(large + bytes(3 * 2 * RATE)) == 5


def test_a_compressed_wav_counts_its_samples() -> None:
    plain = recordings.sound("wav")
    compressed = (
        plain[:20] + struct.pack("<H", 2) + plain[22:36] + b"fact" + struct.pack("<II", 4, 3 * RATE) + plain[36:]
    )
    assert duration(compressed) == 3


def test_a_recording_that_does_not_tell_its_length_has_none() -> None:
    assert read(recordings.film("mp4", movflags="frag_keyframe+empty_moov")) is None
    assert read(recordings.film("webm", live="1")) is None


@pytest.mark.parametrize("extension", ["wav", *SOUNDS, *FILMS])
def test_a_damaged_recording_raises_nothing(extension: str) -> None:
    whole = (recordings.film if extension in FILMS else recordings.sound)(extension)
    for size in (*range(0, 200, 3), *range(200, len(whole), len(whole) // 50)):
        read(whole[:size])
        read(whole[:size] + bytes(50) + whole[size + 50 :])
        read(whole[:size] + b"\xff" * 50 + whole[size + 50 :])


def test_other_files_are_no_recordings() -> None:
    assert read(b"") is None
    assert read(b"text" * 100) is None
    assert read(b"\xff" * 10_000) is None
