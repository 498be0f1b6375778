"""The gateway as the protocol uses it: its caller, photos, texts and errors."""
