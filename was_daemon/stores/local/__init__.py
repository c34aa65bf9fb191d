"""Parts of the filesystem store: assets as files on a disk of this machine.

The directory tree, walked without following links; staging files, locks, readers.
"""
