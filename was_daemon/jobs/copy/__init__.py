"""Copy of assets from one store to another, with a journal so that an interrupted copy can continue."""
