"""Webhooks, and deliveries of alerts to them."""
