"""A store whose assets are also in other stores, its copies, which follow it.

`store` answers by way of the primary, `fallback` reads what the primary has lost from the copies; `journal` is a file
with what the copies lack, and `follower` does that in one copy, in the process that has the `lead`. `knowledge` is what
the journal tells of assets.
"""
