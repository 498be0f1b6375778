"""Learning a visual space from a catalogue's labelled photos: features in, a map and a head out."""
