"""The audit log: who made which administrative or destructive call."""
