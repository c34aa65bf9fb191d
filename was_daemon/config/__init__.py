"""From TOML and environment variables to frozen settings.

Settings with their checks, secret files, and the search for plugins; no part of the daemon is built here. Imports
`model`, `telemetry` and `concurrency`.
"""
