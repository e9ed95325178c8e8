"""Alerts to the owners of assets, made from Dagster's event log and sent by Slack, webhook and mail."""
