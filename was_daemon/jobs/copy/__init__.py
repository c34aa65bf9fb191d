"""Copy of assets from one store to another, with a journal so that an interrupted copy can continue.

`job` goes through the collections, `copier` copies one asset, `thumbnails` selects those that are worth a copy.
"""
