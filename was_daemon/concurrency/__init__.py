"""How coroutines and threads wait for each other.

Locks by key, shared and exclusive turns, background tasks, threads for blocking calls. Imports `model` and `telemetry`.
"""
