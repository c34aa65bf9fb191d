"""The catalogue: a database of the originals that are kept, and of what has happened to them.

Serving and storing assets do not need it. Imports the rooms below: `model` to `library`.
"""
