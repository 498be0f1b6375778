"""What lies outside: files, the retriever, LightFM."""
