"""The emulators for assets that reach the bucket and BigQuery."""

from taxi_assets_tests.stores.cloud.conftest import cloud, services

__all__ = ["cloud", "services"]
