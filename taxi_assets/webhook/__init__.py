"""`taxi webhook`: a web application that starts pipelines and records materializations, for callers with a token.

Dagster's own endpoints know no authentication. This application needs no webserver: it writes to Dagster's storage, and
the daemon launches the runs.
"""
