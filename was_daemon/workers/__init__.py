"""Pool of sandboxed worker processes, the queue in front of it, and the protocol between daemon and workers.

Imports `imaging`, `concurrency`, `telemetry` and `model`.
"""
