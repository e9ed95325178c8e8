"""BigQuery: the warehouse, loaded from the lake."""
