"""Files made from originals, such as thumbnails: found, made once, published, marked, evicted, and removed.

Imports `library`, `workers`, and the rooms below them.
"""
