"""A bookferry whose hook door counts as open, and time that passes for all platforms at once."""

from daemon import losses, views
from state import losses as store
from state import units

SETTLED_S = 16 * 60


async def open_door(app, *, anew=True):
    app.serving = True
    await app.db.transaction(lambda tx: store.door_open(tx, now=app.ms(), anew=anew))


async def close_door(app):
    await open_door(app, anew=False)
    app.serving = False


async def tick(app):
    """What happens once a minute."""
    app.engine.kick(units.ALERT)
    await app.engine.idle()


async def pass_by(port, seconds, step=240):
    """Let time pass, with the ticks in it that keep the door open."""
    for _ in range(0, seconds, step):
        for berth in port.at.values():
            berth.box.advance(step)
        await tick(port.app)


async def settled(port):
    await pass_by(port, SETTLED_S)


async def hooks(app, name):
    """What ``status`` says of a connection's webhooks."""

    def look(tx):
        return next(
            row for row in views.status(app.world, tx, app.ms())["connections"] if row["name"] == name
        )

    return (await app.db.read(look))["webhooks"]


async def lost(app, name):
    found = await app.db.read(lambda tx: losses.lost(tx, name, app.ms()))
    return {key: found[key] for key in ("lost", "while_down", "undecided")}


async def findings(app):
    rows = await app.db.read(
        lambda tx: tx.rows("SELECT connection, kind, ref, what, cause FROM finding ORDER BY seq")
    )
    return [(row["connection"], row["kind"], row["ref"], row["what"]) for row in rows]
