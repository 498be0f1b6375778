"""Serving models: available models, their health, and their queues."""
