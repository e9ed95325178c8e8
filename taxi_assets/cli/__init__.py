"""The commands of `taxi`."""

import gc

# Imports make objects that stay. To look for garbage after each 700 of them takes a seventh of a command's start.
gc.set_threshold(200_000, 50, 100)
