"""Plain values of requests and answers.

UNKNOWN, in any kind of value, is a value that this client is too old to know.
"""
