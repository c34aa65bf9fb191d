"""Collections and the stores they live in, changes of originals, local copies of remote originals, and quotas.

Imports the rooms below: `model` to `stores`.
"""
