"""Values, errors and rules, independent of SQL, files and the wire."""
