"""Metadata blocks in files: where each container format keeps EXIF, XMP and IPTC. Nothing is decoded here.

Each module walks one family of formats and yields `Block` values; `find` chooses the module by the file's first bytes.
"""
