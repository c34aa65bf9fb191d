"""Parts of the ResourceSpace store: signed calls, names in a field, resources, files, uploads and previews."""
