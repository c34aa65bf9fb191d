"""Content as the scripted servers send it: whole or a range, with its length or in chunks."""

from twisted.web.http import Request
from twisted.web.server import NOT_DONE_YET


def send_content(request: Request, content: bytes, in_chunks: bool) -> bytes | int:
    """The answer of a resource that has this content."""
    asked = request.getHeader("Range")
    if asked:
        start, stop = (int(each) for each in asked.removeprefix("bytes=").split("-"))
        request.setResponseCode(206)
        request.setHeader("Content-Range", f"bytes {start}-{stop}/{len(content)}")
        content = content[start : stop + 1]
    if in_chunks:
        request.write(content)
        request.finish()
        return NOT_DONE_YET
    return content
