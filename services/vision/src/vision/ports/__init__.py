"""Interfaces of photos and other services, as the use cases need them."""
