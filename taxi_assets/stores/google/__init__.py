"""What Cloud Storage and BigQuery share: address, credentials, errors."""
