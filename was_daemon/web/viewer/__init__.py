"""The viewer: a page that shows one picture or two side by side, made of OpenSeadragon and scripts of our own.

It fetches tiles, metadata and originals by the addresses that other clients use, too. `static/` is what browsers load;
`openseadragon/` is fetched when the daemon is built (etc/viewer), and may be missing.
"""
