"""alert: a trial of the address that alerts go to."""

import typer

from daemon.commands.common import ConfigFile, Stop, place, say


def register(app: typer.Typer) -> None:
    """Enter the command."""
    app.command()(alert)


def alert(ctx: typer.Context, config: ConfigFile = None) -> None:
    """Send a trial message to the address of `alerts:`."""
    import asyncio

    from connectors.alert import AlertChannel

    here = place(ctx, config)
    if here.config.alerts is None:
        raise Stop(f"{here.file} has no `alerts:`. Add it with the `url:` to which alerts are to be posted.")
    url = here.config.alerts.url.get_secret_value()

    async def post() -> str:
        channel = AlertChannel(url)
        try:
            await channel.post(
                {
                    "text": "This is a trial: alerts of bookferry arrive here.",
                    "event": "trial",
                    "connection": None,
                    "concerns": [],
                }
            )
        finally:
            await channel.aclose()
        return channel.host

    say(f"Sent. See whether it has arrived at {asyncio.run(post())}.")
