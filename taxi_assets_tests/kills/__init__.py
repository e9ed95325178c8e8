"""Loads that are killed at seeded moments, while readers of every store look on."""
