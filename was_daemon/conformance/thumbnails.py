"""Checks of thumbnails."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from was_daemon.conformance import pictures
from was_daemon.conformance.check import Check, refusal
from was_daemon.conformance.client import Answer, Unanswered
from was_daemon.conformance.results import differences, expect
from was_daemon.conformance.server import Server

_SIMULTANEOUS = 16
_SHOWABLE = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif")


def _fits(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.photograph((600, 400)))
    answer = server.thumbnail(name, "123").expect(200, to="a thumbnail")
    image = answer.image()
    width, height = image.size
    expect(max(width, height) <= 123, "a picture that fits 123 x 123", f"one of {width} x {height}")
    expect(abs(width * 2 - height * 3) <= 3, "a picture as wide as 3 to 2", f"one of {width} x {height}")
    expect(answer.media_type in _SHOWABLE, "a Content-Type that browsers show", answer.media_type or "none")
    return None if width >= 122 else f"the thumbnail is only {width} x {height}"


def _not_enlarged(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.plain(pictures.RED, (60, 40)))
    size = server.thumbnail(name, "200").expect(200, to="a thumbnail larger than its original").image().size
    return None if size <= (60, 40) else f"a small picture is enlarged to {size[0]} x {size[1]}"


def _upright(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.photograph((600, 400), orientation=6))
    image = server.thumbnail(name).expect(200, to="a thumbnail").image()
    # A browser turns a picture by the orientation in its EXIF data.
    is_upright = image.height > image.width or image.getexif().get(0x0112) == 6
    return None if is_upright else "a photograph taken upright is shown on its side"


def _without_position(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.photograph())
    image = server.thumbnail(name).expect(200, to="a thumbnail").image()
    # Who may see a specimen may often not know where to find more of its kind.
    expect(not pictures.has_position(image), "a thumbnail that does not tell where it was taken", "its position")
    return None


def _of_kind(ending: str, content: Callable[[], bytes]) -> Callable[[Server], str | None]:
    def attempt(server: Server) -> str | None:
        name = server.store(server.new_name(ending), content())
        # Specify has icons for other kinds of files only; here it shows a broken picture.
        image = server.thumbnail(name).expect(200, to=f"a thumbnail of a {ending} file").image()
        expect(max(image.size) <= 123, "a picture that fits 123 x 123", f"one of {image.width} x {image.height}")
        expect(pictures.shows(image, pictures.RED), "the first page", "another picture")
        return None

    return attempt


def _simultaneous(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.photograph((1800, 1200)))
    start = Barrier(_SIMULTANEOUS)

    def get(_: int) -> Answer | Unanswered:
        start.wait()
        try:
            return server.thumbnail(name)
        except Unanswered as error:
            return error

    with ThreadPoolExecutor(_SIMULTANEOUS) as threads:
        answers = list(threads.map(get, range(_SIMULTANEOUS)))
    good = [each for each in answers if isinstance(each, Answer) and each.status == 200]
    bad = [each for each in answers if each not in good]
    expect(not bad, f"{_SIMULTANEOUS} thumbnails", f"{len(bad)} other answers, such as: {bad and bad[0]}")
    bodies = {each.body for each in good}
    expect(len(bodies) == 1, f"{_SIMULTANEOUS} identical thumbnails", f"{len(bodies)} different ones")
    good[0].image()
    return None


def _bad_scale(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.photograph())
    fields = {"coll": server.collection, "type": "T", "filename": name, "token": server.token(name) or None}
    answers = {"without a scale": server.get("read", fields), "of scale abc": server.thumbnail(name, "abc")}
    remarks = [
        None if answer.status == 400 else f"{answer.status} instead of 400 to a thumbnail {what}"
        for what, answer in answers.items()
    ]
    return differences(*remarks)


def _broken_image(server: Server) -> str | None:
    name = server.store(server.new_name(), b"This is no JPEG.")
    answer = server.thumbnail(name)
    if answer.status == 200:
        answer.image()
        return "a file that is no picture has one as its thumbnail"
    return refusal(answer, 422, "a thumbnail of a JPEG that is none")


def _not_an_image(server: Server) -> str | None:
    name = server.store(server.new_name(".txt"), b"This is a text.")
    answer = server.thumbnail(name)
    if answer.status == 200:
        answer.image()
        return "a text has a picture as its thumbnail"
    return refusal(answer, 415, "a thumbnail of a text")


CHECKS = (
    Check("thumbnail", "a thumbnail is a picture that fits its box", _fits),
    Check("thumbnail-small", "a small picture is not enlarged", _not_enlarged),
    Check("thumbnail-upright", "thumbnails are upright", _upright),
    Check("thumbnail-position", "thumbnails do not tell where they were taken", _without_position),
    Check("thumbnail-gif", "GIF has thumbnails", _of_kind(".gif", lambda: pictures.plain(pictures.RED, kind="GIF"))),
    Check("thumbnail-png", "PNG has thumbnails", _of_kind(".png", lambda: pictures.plain(pictures.RED, kind="PNG"))),
    Check("thumbnail-tiff", "TIFF has thumbnails", _of_kind(".tif", lambda: pictures.plain(pictures.RED, kind="TIFF"))),
    Check("thumbnail-pages", "TIFF of several pages has thumbnails", _of_kind(".tif", pictures.pages)),
    Check("thumbnail-pdf", "PDF has thumbnails", _of_kind(".pdf", lambda: pictures.plain(pictures.RED, kind="PDF"))),
    Check("thumbnail-simultaneous", "a thumbnail that many ask for at once is whole", _simultaneous),
    Check("thumbnail-scale", "a thumbnail without a proper scale is refused", _bad_scale),
    Check("thumbnail-broken", "what is no picture has no thumbnail", _broken_image),
    Check("thumbnail-text", "a text has no thumbnail", _not_an_image),
)
