"""Metrics, logs, and recent errors.

What the daemon tells about itself, and the removal of secrets from it. Imports `model`.
"""
