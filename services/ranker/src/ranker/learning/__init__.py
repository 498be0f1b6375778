"""How models come about and are judged: training, evaluation, feedback, publication, promotion."""
