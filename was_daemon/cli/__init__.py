"""The `was-daemon` command: arguments, questions and printing; the work itself is in `jobs`, `daemon` or `conformance`.

Imports every other room. Most modules import only when a command runs, so that `was-daemon --help` is quick.
"""
