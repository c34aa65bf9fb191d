"""The gallery: the originals of the catalogue as pictures, a page for each of them, and the trash.

`holdings` has what is shown, `asked` and `sheet` find it, `listing`, `asset_page` and `trash_page` make HTML of it,
`looking` has the addresses of thumbnails, originals and the viewer, for which the session stands in place of a token.
"""
