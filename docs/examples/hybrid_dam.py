"""A DAM's part of a hybrid, as a WSGI application: `python hybrid_dam.py FOLDER PORT DAEMON`, key in $ATTACHMENT_KEY.

It sends what is in `FOLDER/originals`, and pictures in `FOLDER/previews/SCALE/NAME.jpg`; the daemon makes all others.
"""

import hmac
import os
import re
import sys
import time
from mimetypes import guess_type
from pathlib import Path

from werkzeug.serving import run_simple
from werkzeug.utils import redirect, send_file
from werkzeug.wrappers import Request, Response

FOLDER, PORT, DAEMON, KEY = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], os.environ["ATTACHMENT_KEY"].encode()


def is_signed(name: str, token: str) -> bool:
    digest, _, stamp = token.partition(":")
    right = hmac.digest(KEY, f"{stamp}{name}".encode(), "md5").hex()
    is_of_now = re.fullmatch("[0-9]{1,12}", stamp) and abs(time.time() - int(stamp)) <= 150
    return bool(is_of_now) and hmac.compare_digest(right.encode(), digest.encode())


def answer(request: Request) -> Response:
    name, scale = request.args.get("filename", ""), request.args.get("scale", "")
    if not is_signed(name, request.args.get("token", "")):
        return Response("the token is not valid", 403)
    original, preview = FOLDER / "originals" / name, FOLDER / "previews" / scale / f"{name}.jpg"
    is_name = re.fullmatch(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*", name) and len(name.encode()) <= 250
    if not (is_name and original.is_file()):
        return Response("no such asset", 404)
    if request.args.get("type") != "T":
        kind, title = guess_type(name)[0] or "application/octet-stream", request.args.get("downloadname")
        return send_file(original, request.environ, kind, download_name=title, conditional=True)
    if re.fullmatch("[0-9]{1,5}", scale) and preview.is_file() and preview.stat().st_mtime >= original.stat().st_mtime:
        return send_file(preview, request.environ, "image/jpeg", conditional=True)
    return redirect(f"{DAEMON}/fileget?{request.query_string.decode(errors='replace')}")


@Request.application
def dam(request: Request) -> Response:
    response = answer(request)
    response.headers |= {"X-Timestamp": str(int(time.time())), "Access-Control-Allow-Origin": "*"}
    response.headers["X-Content-Type-Options"] = "nosniff"
    if str(response.mimetype).endswith("ml"):
        response.headers["Content-Security-Policy"] = "sandbox"  # HTML, SVG and other XML may have scripts
    return response


if __name__ == "__main__":
    run_simple("127.0.0.1", PORT, dam, threaded=True)
