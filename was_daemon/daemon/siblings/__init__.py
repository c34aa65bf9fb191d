"""Several processes that are one daemon.

The first of them looks after the others.
"""
