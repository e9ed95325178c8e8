"""Where trips go: one module a store, with its resource, its IO manager and its load."""
