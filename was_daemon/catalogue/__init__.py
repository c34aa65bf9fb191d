"""The database of what is kept: the checksums of originals.

Never needed to serve an asset. Imports `model`, `telemetry`, `concurrency` and `config`.
"""
