"""Protocol of Web Asset Servers as clients speak it.

Tokens by the server's clock, forms of uploads and deletions, readers that notice a replaced file, thumbnails.
"""
