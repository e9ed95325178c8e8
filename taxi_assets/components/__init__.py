"""The components behind the YAML files of `defs/`: they make assets, checks, jobs and sensors."""

from taxi_assets.components.local_files.component import LocalFiles
from taxi_assets.components.summaries.component import Summaries
from taxi_assets.components.taxi_pipeline.component import TaxiPipeline

__all__ = ["LocalFiles", "Summaries", "TaxiPipeline"]
