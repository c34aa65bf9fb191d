"""Quotas of collections: how many bytes of originals a collection has, may have, and has reserved for uploads.

`quota` describes one quota, `quotas` enforces all, `counting` counts the originals, `record` is shared by all processes
of a machine.
"""
