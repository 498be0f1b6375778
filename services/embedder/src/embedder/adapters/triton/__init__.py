"""NVIDIA Triton: the only package that knows tritonclient, its types and its errors."""
