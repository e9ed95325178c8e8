"""What a pipeline's YAML is made into: assets, checks and what they show."""

from taxi_assets.components.pipeline import TaxiPipeline

__all__ = ["TaxiPipeline"]
