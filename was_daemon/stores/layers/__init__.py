"""Stores made of other stores.

Each provides what the store below it provides.
"""
