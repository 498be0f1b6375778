"""What generate_sync.py makes."""
