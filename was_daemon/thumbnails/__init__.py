"""Thumbnails and metadata: rendered in worker processes, kept in a store."""
