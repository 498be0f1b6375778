"""A catalog's filterable and ranking columns in memory, and the vectors of small generations.

Searches read arrays instead of products: filters, availability, exclusion and the grouping of
variants run once over all candidates, and products are read from the record for a page alone. The
record stays the authority: every commit takes a number, what changed since is asked for by it, and
where a catalog does not fit the bound the same arrays are made of the products in question.
"""
