"""Assembly of the parts, life cycle, processes, systemd.

Imports every room below; only `cli` imports it.
"""
