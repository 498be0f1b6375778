"""A space learned from the example catalog, brought into use by force, and taken back."""
