"""Parts of the WebDAV store.

The directory tree, listings, the trial of MOVE, unfinished uploads; HTTP itself is in `stores/http`.
"""
