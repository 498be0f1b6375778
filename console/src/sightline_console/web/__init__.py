"""HTTP without screens: hosts and origins, sessions, forms, and the key of a request's user."""
