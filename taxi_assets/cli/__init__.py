"""The commands of `taxi`."""

import gc
import os

# Imports make objects that stay. To look for garbage after each 700 of them takes a seventh of a command's start.
gc.set_threshold(200_000, 50, 100)
# Before its first model, pydantic reads the metadata of every installed package, in search of plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
