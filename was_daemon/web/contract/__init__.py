"""The routes of the asset server's contract.

The requests of Specify's clients: uploads, downloads, thumbnails, metadata, deletes, and the status page.
"""
