"""Locks, waiters, background tasks, threads and child processes.

Shared and exclusive locks by key, waiters that may leave, tasks that nobody waits for, threads for blocking calls and
for SQLite files, the start of further Python processes. Imports `model` and `telemetry`.
"""
