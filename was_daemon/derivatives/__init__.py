"""Files made from originals: found, made once, published, marked, evicted, forgotten.

Imports `library`, `workers`, and the rooms below them.
"""
