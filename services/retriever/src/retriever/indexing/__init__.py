"""How vectors are made, and how the index follows the record."""
