"""Started from outside: a small web application with a token, which starts pipelines and takes reports.

Dagster's own endpoints ask nobody who they are. This one does, and it needs no webserver: it writes into Dagster's
storage, from where the daemon takes the runs.
"""
