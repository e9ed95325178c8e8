"""A data platform for the New York taxi trip records: from the TLC's monthly files to three stores, on Dagster."""
