"""Health checks of stores, spool and workers, and the overview on the status page.

Imports the rooms below: `model` to `jobs`.
"""
