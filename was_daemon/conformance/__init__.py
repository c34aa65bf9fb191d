"""The black-box checker of any asset server.

Sends what Specify's clients send and judges the answers. Imports `model` and `telemetry`.
"""
