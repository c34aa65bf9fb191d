"""Comparison of the stores with Specify's records: what is missing, what belongs to nobody, what looks wrong.

`collect` puts names and records into the temporary database of `worktable`, and `findings` compares them there.
`reconciler` reports what is found, and `quarantine` moves originals that belong to no record into the trash.
"""
