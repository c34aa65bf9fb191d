"""Parts of the SFTP store.

asyncssh in an event loop of its own (`connecting`, `login`, `session`, `transfers`, `versions`), the client that the
reactor's thread uses, the directory tree, unfinished uploads.
"""
