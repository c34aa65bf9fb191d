"""Signatures of Amazon's version 4, made by botocore."""

from collections.abc import Mapping
from typing import Any

import attrs
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from was_daemon.stores.s3.credentials import AccessKey


class _DigestedAuth(S3SigV4Auth):  # type: ignore[misc]  # botocore has no annotations
    """Signature of a body whose digest is known: botocore would hash it again on the reactor's thread."""

    def payload(self, request: AWSRequest) -> Any:
        return request.context["sha256"]


@attrs.frozen
class Signer:
    """Signer of requests for the objects of one region."""

    _region: str

    def headers(
        self, key: AccessKey, method: str, url: str, headers: Mapping[str, str], sha256: bytes
    ) -> dict[str, str]:
        """Return `headers` with those that sign the request; `sha256` is the digest of its body."""
        request = AWSRequest(method=method, url=url, headers=dict(headers))
        request.context["sha256"] = sha256.hex()
        _DigestedAuth(_credentials(key), "s3", self._region).add_auth(request)
        return {str(name): str(value) for name, value in request.headers.items()}

    def address(self, key: AccessKey, url: str, seconds: int) -> str:
        """Return `url` with a signature that allows everybody who has it to GET the object for so many seconds."""
        request = AWSRequest(method="GET", url=url)
        S3SigV4QueryAuth(_credentials(key), "s3", self._region, expires=seconds).add_auth(request)
        return str(request.url)


def _credentials(key: AccessKey) -> Credentials:
    return Credentials(key.id, key.secret, key.token)
