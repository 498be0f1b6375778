"""Values, errors and rules, independent of SQL, files, Milvus and the wire."""
