"""What gateway, retriever and ranker share of an answer: candidates, orders, their versions, and
what each of them lends to the others of its process (lending.py)."""
