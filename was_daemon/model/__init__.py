"""Values of the domain and the interfaces of stores, without I/O.

Keys, tokens, errors, media types, digests, and the interfaces of stores. Anything pure that several rooms share
belongs here. Imports nothing of was_daemon but itself; no Twisted but Deferreds in type annotations.
"""
