"""The tables of release 0.30, the oldest that is upgraded in place.

A new store gets the tables of this release at once (servicekit.sql.revisions).
"""

revision, down_revision = "0027", None
