"""The trash: versions of originals that clients no longer get, and that can be restored.

`trash` puts versions there and back, `relocation` moves files, by the store itself or through the daemon, `contents`
reads what is there, `removal` removes it for good.
"""
