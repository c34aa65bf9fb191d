"""Migrations of the catalogue's schema, as Alembic runs them.

`env.py` is its entry, `versions/` has a module for each step. Imports `catalogue.schema` only.
"""
