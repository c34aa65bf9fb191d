"""Servers in the process of the tests that answer what a test says; the fixture `listen` starts them."""

from collections.abc import Callable

from twisted.internet.protocol import Factory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site


class Script(Resource):
    """A server that answers as the test says: a function of the request, or a status, for each method."""

    isLeaf = True

    def __init__(self, **answers: Callable[[Request], bytes | int] | int) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.answers = answers

    def render(self, request: Request) -> bytes | int:
        self.requests.append(request)
        answer = self.answers.get(request.method.decode(), 404)
        if isinstance(answer, int):
            request.setResponseCode(answer)
            return b"no matter"
        return answer(request)


Listen = Callable[[Factory], str]


def site(script: Script) -> Site:
    """`script` as a protocol factory."""
    return Site(script, timeout=None)
