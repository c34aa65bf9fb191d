"""Steps from one form of the schema to the next, numbered.

A step that has been released is not changed any more. Imports types of `catalogue.schema` only.
"""
