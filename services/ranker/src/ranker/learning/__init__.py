"""Training, evaluation, feedback, publication and promotion of models."""
