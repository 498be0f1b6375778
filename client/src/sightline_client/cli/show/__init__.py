"""Values as text and tables for people."""
