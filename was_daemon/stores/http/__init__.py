"""A client for servers that speak HTTP.

Requests with streams as bodies, authentication, readers of ranges.
"""
