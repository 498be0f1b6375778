"""Interfaces of the record and the adapters, as the use cases need them."""
