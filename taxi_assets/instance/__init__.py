"""Dagster's instance: storage, run launcher, dead runs, run creation."""
