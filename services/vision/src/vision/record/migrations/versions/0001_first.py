"""The tables of the first release.

A new store gets the tables of this release at once (servicekit.sql.revisions).
"""

revision, down_revision = "0001", None
