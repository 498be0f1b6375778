"""A cluster simulated request by request: how its services are scaled, and what that costs."""
