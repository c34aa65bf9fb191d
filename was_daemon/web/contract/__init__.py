"""The routes of the asset server's contract.

What Specify's clients ask for: uploads, downloads, thumbnails, metadata, deletes, and the status page.
"""
