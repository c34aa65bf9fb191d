"""Stores in layers: originals are read from the first layer that has them, and written to the first of all.

`store` is the store, `layer` says what is seen of one layer, `records` keeps the tombstones, `promotion` copies what is
read into the first layer, `names` is for lists.

Of changes by several daemons, killed at any moment, these orders take care: a deletion hides the layers below before it
removes the original from the first one; and a promoted original is made under another name, from where it is moved to
its place only if nobody has deleted it meanwhile.
"""
