"""Milvus Lite as a server process: see `milvus_engine.serve`."""
