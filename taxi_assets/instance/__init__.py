"""Dagster's instance: its storage and run launcher, the runs that this project creates, and dead runs."""
