"""How coroutines and threads wait for each other.

Shared and exclusive locks by key, waiters that may leave, background tasks, threads for blocking calls and for
SQLite files. Imports `model` and `telemetry`.
"""
