"""Plain values: what requests name and answers hold."""
