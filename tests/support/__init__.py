"""Servers, clients, files and figures that tests of several rooms use."""
