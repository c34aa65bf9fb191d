"""HTTP client for stores.

Requests with streams as bodies, authentication, errors, readers of ranges.
"""
