"""Assembly of the components, life cycle, processes, systemd.

Imports every room below; only `cli` imports it.
"""
