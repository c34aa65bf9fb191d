"""Parts of storage plugins, one package for each protocol.

`local/`, `http/`, `webdav/`, `sftp/`, `s3/`, `rest/`, `resourcespace/`, and stores made of other stores in `layers/`.
Knows no collections, no thumbnails and no HTTP server. Imports the rooms below: `model` to `config`.
"""
