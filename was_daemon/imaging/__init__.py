"""Reading, rendering and writing pictures, and reading metadata, inside a worker process.

Pure functions of open files; no Twisted, no store, no setting. Imports `model`, for its errors.
"""
