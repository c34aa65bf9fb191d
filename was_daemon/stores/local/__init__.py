"""Assets as files on a disk of this machine.

Directories walked without following links, staging files, locks, readers.
"""
