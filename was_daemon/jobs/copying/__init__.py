"""Copying assets from one store to another.

A journal of what was verified, so that an interrupted copy goes on where it ended.
"""
