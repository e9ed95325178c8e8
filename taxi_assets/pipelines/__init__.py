"""One folder with one YAML file a pipeline: what Dagster loads its assets from."""
