"""Stores made of other stores.

Each provides the interfaces of the stores below it as far as they are true of it, too: `forwarding` has those that are
about writing, which goes to one of them. `observed` and `read_only` are stores around a single one.
"""
