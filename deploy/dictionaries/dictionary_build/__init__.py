"""Build of bilingual dictionaries from packages of PyPI and Debian."""
