"""Parts of the S3 store.

Signed requests, listings, uploads in parts, checksums; HTTP itself is in `stores/http`.
"""
