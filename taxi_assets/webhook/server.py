"""The server of the web application."""

from __future__ import annotations

from taxi_assets.errors import TaxiError, UsageError
from taxi_assets.local.service import port_is_free
from taxi_assets.settings import Settings


def serve(settings: Settings) -> None:
    """Serves the application until it is interrupted; on loopback, unless the settings name another host.

    Raises:
        TaxiError: There is no token, the port is taken, or the database does not answer.
    """
    token, host, port = settings.taxi_webhook_token, settings.taxi_webhook_host, settings.taxi_webhook_port
    if token is None:
        raise UsageError(
            "The webhook does not start without a token.",
            expected="TAXI_WEBHOOK_TOKEN: a long random word that callers must show",
            found="it is unset",
            intact="nothing was started",
            next_step="write one into .env.local: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    if host == "127.0.0.1" and not port_is_free(port):
        raise TaxiError(
            f"Port {port} on loopback is taken.",
            expected="a free port for the webhook",
            intact="nothing was started",
            next_step="end what listens there, or set TAXI_WEBHOOK_PORT",
        )
    import dagster as dg
    import uvicorn

    from taxi_assets.webhook.app import create_app
    from taxi_assets.webhook.service import RunService

    with dg.DagsterInstance.get() as instance:
        service = RunService(instance)
        service.definitions.repository()
        app = create_app(service, token, settings.taxi_ui_url.rstrip("/"))
        uvicorn.run(app, host=host, port=port, log_level="info", server_header=False, limit_concurrency=50)
