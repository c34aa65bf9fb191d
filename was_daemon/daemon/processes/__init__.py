"""Several daemons on the ports of one machine: `[server] workers`.

`parent` opens the sockets and keeps a daemon running on each; `child` is the start of such a daemon.
"""
