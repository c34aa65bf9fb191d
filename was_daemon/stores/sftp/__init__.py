"""Parts of the SFTP store.

The SSH connection, the SFTP client, the directory tree, unfinished uploads.
"""
