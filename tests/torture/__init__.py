"""One seed, one world: the whole program against the four sandboxes, with everything that can go wrong drawn from a seed.

``run(seed)`` tells the story that the seed draws and gives a ``Report``. The program is the real one: units, engine,
schedule, both doors, the HTTP client with its retries and budgets, tokens and store. Only its edges are replaced: an event
loop whose time is virtual (``loop``), a network in memory (``net``), a store that commits in the same thread (``store``).
Real sockets, threads and killed processes are the business of the other tests.
"""

from tests.torture.report import Report
from tests.torture.tell import run

__all__ = ["Report", "run"]
