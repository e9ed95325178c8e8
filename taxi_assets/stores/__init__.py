"""Where trips go: one package per store, with its resource, its IO manager and its load."""
