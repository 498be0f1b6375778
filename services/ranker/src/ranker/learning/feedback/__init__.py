"""Feedback on answers: click model, off-policy estimates, drift. Pure."""
