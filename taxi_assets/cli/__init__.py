"""The commands of `taxi`."""
