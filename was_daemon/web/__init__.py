"""The routes of the asset server's contract, and of monitoring.

From requests to use cases and back; knows no disk. Imports `httpd`, `health`, `assets`, and the rooms below them.
"""
