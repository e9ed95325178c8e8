"""BigQuery, loaded from the lake."""
