"""A space learned from the example catalogue, brought into use by force, and taken back."""
