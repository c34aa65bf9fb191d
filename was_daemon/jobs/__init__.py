"""Long jobs over many assets, without a terminal: verify, copy, warm, prune, reconcile.

A command, or the daemon, starts a job and shows its report. Imports `assets`, `derivatives`, `specify`, `library`, and
the rooms below them.
"""
