"""Which store a collection lives in, local copies of remote originals, and quotas.

Imports the rooms below: `model` to `stores`.
"""
