"""What a pipeline's YAML is made into: assets, checks and what they show."""
