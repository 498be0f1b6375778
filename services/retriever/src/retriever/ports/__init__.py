"""What the use cases ask of the record and of the adapters."""
