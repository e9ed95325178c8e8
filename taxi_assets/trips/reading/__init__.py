"""Reads a month's file, CSV or Parquet, as record batches of the registry's schema."""
