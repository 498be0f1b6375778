"""Clients of the services behind the gateway: translate between domain values and messages."""
