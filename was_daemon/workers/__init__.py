"""The pool of sandboxed worker processes.

The queue in front of them, the protocol that they speak, and what they give up before they look at a file. Imports
`imaging`, `telemetry` and `model`.
"""
