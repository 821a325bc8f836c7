"""What can go wrong with the store, each with a sentence that says what to do.

StateError
├── StoreUnavailable   locked, read-only, full, unreadable: nothing was stored, the caller may try again
├── StoreTooNew        written by a newer version of the program
├── WrongKey           the sealing key does not open what is sealed, or is missing
├── Exposed            others than the owner can read what is secret
└── Fenced             somebody else has taken over this unit of work: write nothing more
    └── TakenOver      another process has opened the store: write nothing more at all, and end
"""


class StateError(Exception):
    """Something is wrong with the store. The message is a sentence for the operator."""


class StoreUnavailable(StateError):
    """The store could not be opened, read or written. Nothing of the transaction was stored."""


class StoreTooNew(StateError):
    """The store has migrations that this version does not know."""


class WrongKey(StateError):
    """A sealed value could not be opened with the sealing key at hand."""


class Fenced(StateError):
    """The unit was claimed by someone else since: this claim must not write any more."""


class Exposed(StateError):
    """Others than the owner can read what is secret."""


class TakenOver(Fenced):
    """Another process has opened the store since: this one must end."""
