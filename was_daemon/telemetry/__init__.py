"""Metrics, logs, the number of recent errors, and the removal of secrets from texts.

Imports `model`.
"""
