"""Database of the originals that are kept: their checksums.

Serving an asset does not need it. Imports `model`, `telemetry`, `concurrency` and `config`.
"""
