"""The Image API of the International Image Interoperability Framework, versions 3.0 and 2.1.1 (https://iiif.io/api/image).

Identifiers, parameters and `info.json` are pure functions; `routes` answers requests.
"""
