"""The gateway as both protocols use it: its caller, photos, texts and errors."""
