"""Parts of the SFTP store.

The SSH connection, the SFTP client, unfinished uploads.
"""
