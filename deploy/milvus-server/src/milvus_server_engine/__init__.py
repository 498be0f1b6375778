"""A Milvus server as a process: see `milvus_server_engine.serve`."""
