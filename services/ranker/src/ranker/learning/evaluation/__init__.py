"""Evaluation of models before they serve: splits, metrics, baselines, intervals, a verdict.

``evaluate`` is the use case and needs SciPy (extra `train`); ``report`` holds its results.
"""
