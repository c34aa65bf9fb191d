"""Checks of a machine on which the daemon is to run, each with what mends it, that change nothing.

Imports the rooms below, of which `conformance` has the requests of Specify's clients; knows neither `web` nor `daemon`.
"""
