"""Inspection: references of good pieces, and photos compared with them."""
