"""Copying assets from a store to another."""
