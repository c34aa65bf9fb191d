"""Short answers that are written in one go."""

from was_daemon.httpd.request import AssetRequest


def text_answer(request: AssetRequest, text: str, media_type: str = "text/plain; charset=utf-8") -> bytes:
    """Set the headers of an answer, and return its body."""
    body = text.encode()
    request.setHeader("Content-Type", media_type)
    request.setHeader("Content-Length", str(len(body)))
    return body
