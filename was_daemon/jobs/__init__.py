"""Long work over many assets, without a terminal.

Verifying, copying, warming, pruning; a command, or the daemon, starts it and shows what it reports. Imports `assets`,
`derivatives`, `library`, and the rooms below them.
"""
