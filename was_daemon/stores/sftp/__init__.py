"""Parts of the SFTP store.

asyncssh in an event loop of its own (`connecting`, `line`, `login`, `session`, `transfers`, `versions`), to which the
reactor gives turns (`loop`), the client that the rest uses by Deferreds, the directory tree, unfinished uploads.
"""
