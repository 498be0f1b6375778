"""Adapters to the outside: files, the retriever, LightFM, Kafka."""
