"""The lake: Parquet objects in a bucket of Cloud Storage."""
