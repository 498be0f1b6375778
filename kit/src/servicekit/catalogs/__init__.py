"""The catalogs of an installation, declared and registered."""
