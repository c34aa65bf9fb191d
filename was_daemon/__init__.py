"""was_daemon: a Web Asset Server for Specify with storage as plugins."""

__version__ = "1.0.0"
