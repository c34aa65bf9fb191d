"""Fixity: all originals are read again in the background, and compared with the catalogue.

Imports what `jobs` may import.
"""
