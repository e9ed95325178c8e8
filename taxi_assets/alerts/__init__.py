"""Alerts to the owners of assets: what happened, how it is known, to whom and how it goes."""
