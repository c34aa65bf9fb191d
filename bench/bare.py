"""`bare.py PORT SIZE`: a Klein application whose only route returns that many bytes; it logs as twistd does."""

import sys

from klein import Klein
from twisted.internet import reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.iweb import IRequest
from twisted.web.server import Site

app = Klein()
content = bytes(int(sys.argv[2]))


@app.route("/fileget")
def fileget(request: IRequest) -> bytes:
    """A picture, as far as `wrk` can tell."""
    request.setHeader("Content-Type", "image/jpeg")
    return content


globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
reactor.listenTCP(int(sys.argv[1]), Site(app.resource()), interface="127.0.0.1")
reactor.run()
