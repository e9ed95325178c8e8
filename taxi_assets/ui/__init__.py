"""Dagster's UI behind a token: `taxi dev` serves it to its owner only.

A link with the token sets a cookie; programs send the token in a header. Everything of Dagster's web application lies
behind the check: pages, GraphQL and its WebSockets, files, downloads, the endpoints that report materializations.
"""
