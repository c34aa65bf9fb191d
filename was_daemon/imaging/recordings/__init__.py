"""Lengths of recordings and sizes of their pictures, read from the headers of the kinds that browsers play."""
