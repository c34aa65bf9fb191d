"""The APIs of the International Image Interoperability Framework: Image 3.0 and 2.1.1, Presentation 3.0 (https://iiif.io/api).

Identifiers, parameters, `info.json` and manifests are pure functions; `routes` and `presentation` answer requests.
"""
