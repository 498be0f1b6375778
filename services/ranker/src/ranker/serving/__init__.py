"""What a request is answered by: models at hand, the order of candidates, profiles."""
