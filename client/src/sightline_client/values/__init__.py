"""Plain values: what requests name and answers hold.

UNKNOWN, in any kind of value, is one that this client is too old to know.
"""
