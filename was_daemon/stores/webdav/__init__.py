"""Parts of the WebDAV store.

Listings and unfinished uploads; HTTP itself is in `stores/http`.
"""
