"""Stores made of other stores.

Each provides the same interfaces as the store below it.
"""
