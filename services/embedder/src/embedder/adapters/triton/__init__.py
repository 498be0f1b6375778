"""Adapter of NVIDIA Triton; the only package that uses tritonclient."""
