"""Where candidates come from: one module for each kind of branch."""
