"""The S3 store beside curl, on a Ceph gateway that keeps everything in memory. curl's time is that of its process.

curl leaves the body out of its signature, and compares what comes with nothing; the store hashes every byte each way.
"""

from pathlib import Path

from bench.report import Figure
from bench.transfers import Rival, compare, run
from storage_plugins.s3 import S3Store
from tests.support.s3servers import ACCESS_KEY, BUCKET, SECRET_KEY, Ceph, make_bucket, options

_UNSIGNED = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
_LOGIN = ("--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{ACCESS_KEY}:{SECRET_KEY}", "--header", _UNSIGNED)


async def s3(directory: Path) -> list[Figure]:
    """Megabytes per second."""
    ceph = Ceph()
    try:
        ceph.start()
        await make_bucket(ceph.url)
        url = f"{ceph.url}{BUCKET}/theirs.bin"

        async def upload(source: Path) -> float:
            return run("curl", *_LOGIN, "--upload-file", str(source), url)

        async def download(target: Path) -> float:
            return run("curl", *_LOGIN, "--output", str(target), url)

        store = S3Store(options(ceph.url))
        return await compare(store, Rival("curl", upload, download), directory, "S3 on Ceph", "at least 0.5")
    finally:
        ceph.remove()
