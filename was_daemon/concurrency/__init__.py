"""Locks, waiters, background tasks and threads.

Shared and exclusive locks by key, waiters that may leave, tasks that nobody waits for, threads for blocking calls and
for SQLite files. Imports `model` and `telemetry`.
"""
