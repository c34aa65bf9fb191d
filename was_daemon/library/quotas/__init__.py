"""Quotas of collections: how many bytes of originals a collection has, may have, and has reserved for uploads.

`quotas` keeps them, `counting` counts what is there, `record` is what all processes of a machine know of it.
"""
