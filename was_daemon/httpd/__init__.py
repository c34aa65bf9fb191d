"""HTTP as such: protocol, bodies, limits, ranges, the access log.

Knows no assets. Imports `model`, `telemetry` and `concurrency`.
"""
