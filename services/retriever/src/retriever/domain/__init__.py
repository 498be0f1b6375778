"""Values, errors and rules. Nothing here knows of SQL, files, Milvus or the wire."""
