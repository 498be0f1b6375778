"""The use cases: recommend, search, explain, classify, replay."""
