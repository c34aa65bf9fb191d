"""Comparison of a mirror's copies with its primary, and repair of either side.

`comparison` goes through the files and says what is wrong, `repair` mends one file. `once` remembers what was told.
"""
