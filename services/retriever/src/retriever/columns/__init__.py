"""A catalog's filterable and ranking columns in memory, and the vectors of small generations.

Searches read arrays instead of products: filters, availability, exclusion and the grouping of
variants run once over all candidates, and only the products of a page are read from the record. The
record is authoritative: changes since the last read are found by commit number. For a catalog above
the limit the same arrays are built for the products in question.
"""
