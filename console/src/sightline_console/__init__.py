"""The web console of a Sightline suite: a client of the gateway with the user's own rights."""
