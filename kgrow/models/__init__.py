"""Models that somebody trained with Keras, read as data: no code of theirs is run."""
