"""Several processes that are one daemon: `[server] workers`."""
