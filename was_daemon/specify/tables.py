"""Specify's tables whose rows have attachments, by the number in the column TableID."""

_NAMES = {
    1: "collectionobject",
    2: "locality",
    4: "taxon",
    5: "agent",
    6: "permit",
    7: "accession",
    10: "collectingevent",
    18: "borrow",
    34: "disposal",
    39: "exchangein",
    40: "exchangeout",
    # The number of the table `attachment` itself, which Specify 7 writes until the row that it belongs to is saved.
    41: "attachment",
    52: "loan",
    58: "storage",
    63: "preparation",
    69: "referencework",
    70: "repositoryagreement",
    73: "conservevent",
    83: "fieldnotebook",
    84: "fieldnotebookpageset",
    85: "fieldnotebookpage",
    87: "collectingtrip",
    88: "dnasequencingrun",
    103: "conservdescription",
    121: "dnasequence",
    122: "treatmentevent",
    131: "gift",
    163: "deaccession",
    1012: "spdataset",
    1019: "absoluteage",
    1020: "relativeage",
}


def table_name(number: int | None) -> str:
    """Return the name of a table, "table 999" for one that is not known, and "" for None."""
    return "" if number is None else _NAMES.get(number, f"table {number}")
