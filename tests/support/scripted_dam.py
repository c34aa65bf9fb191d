"""A DAM in the process of the tests whose answers are a table, by method and path."""

import json
from collections.abc import Callable
from typing import Any

import attrs
from twisted.web.resource import Resource
from twisted.web.server import Request

SECRET = "sesame-street-1969"


@attrs.frozen
class Says:
    """An answer: a JSON document, or bytes as they are."""

    document: Any = attrs.field(factory=dict)
    status: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)

    def send(self, request: Request) -> bytes:
        """Return the body, and set the rest."""
        request.setResponseCode(self.status)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return self.document if isinstance(self.document, bytes) else json.dumps(self.document).encode()


class ScriptedDAM(Resource):
    """Answers by `answers`, whose keys are such as "GET /search"; 404 to all else. `heard` are the requests so far."""

    isLeaf = True

    def __init__(self, **answers: Says | Callable[[Request], Says]) -> None:
        super().__init__()
        self.answers: dict[str, Says | Callable[[Request], Says]] = dict(answers)
        self.heard: list[Request] = []
        self.bodies: list[bytes] = []

    def render(self, request: Request) -> bytes:
        """See `IResource`."""
        self.heard.append(request)
        content: Any = request.content
        self.bodies.append(content.read())
        content.seek(0)
        answer = self.answers.get(f"{request.method.decode()} {request.path.decode()}", Says(b"nothing here", 404))
        return (answer if isinstance(answer, Says) else answer(request)).send(request)

    def lines(self) -> list[str]:
        """Return method and address of each request so far."""
        return [f"{request.method.decode()} {request.uri.decode()}" for request in self.heard]


def item(number: Any = 7, name: str = "a.jpg", size: Any = 5, **others: Any) -> dict[str, Any]:
    """An asset in the results."""
    return {"id": number, "name": name, "size": size, "modified": "2026-11-30T12:00:00Z", **others}


def found(*items: Any, **others: Any) -> Says:
    """Results."""
    return Says({"items": list(items), **others})


SETTINGS: dict[str, Any] = {
    "secrets": {"key": "key"},
    "headers": {"X-Key": "{key}"},
    "allow_http": True,
    "search": "/search?name={name}",
    "list": "/list?folder={folder}",
    "items": "/items",
    "next": "/next",
    "match": {"/name": "{name}"},
    "id": "/id",
    "size": "/size",
    "modified": "/modified",
    "get": "/files/{id}",
    "put": "POST /files?name={name}",
    "delete": "/files/{id}",
    "message": "/message",
    "delay": 0.0,
    "timeout": 5.0,
}
"""A DAM with ids whose assets are uploaded in one step; "key" is a file with `SECRET`."""
