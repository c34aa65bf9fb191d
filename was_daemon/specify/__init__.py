"""What Specify says of its attachments: reading its databases, and exports of them, and keeping it in the catalogue.

The databases are only read, and nothing that serves or stores assets waits for them. Imports the rooms below: `model`
to `catalogue`.
"""
