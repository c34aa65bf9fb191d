"""Stores on servers whose REST API is described in the configuration.

Templates of requests, JSON pointers into answers, pages of results, uploads in steps. Imports from `stores/http/`.
"""
