"""Where the configuration, the state and the sealing key come from."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.platforms import PLATFORMS
from daemon.modes import beside, chmod, exposed
from daemon.world import World
from mapping.config import Config
from mapping.load import TYPED_IN, load
from mapping.problem import ConfigErrors, InvalidError, Problem
from state.errors import Exposed, WrongKey

CREDENTIAL = "bookferry-key"
_CREDENTIALS = "CREDENTIALS_DIRECTORY"


@dataclass(frozen=True, slots=True)
class Place:
    """A configuration that was read, with its file and its database."""

    file: Path
    config: Config
    db: Path

    def world(self) -> World:
        """What the decisions look at."""
        return World(self.config, dict(PLATFORMS))

    def key(self) -> str:
        """The sealing key of a store that nobody else can read. Raises WrongKey, Exposed."""
        self.private()
        return sealing_key(self.db)

    def private(self) -> None:
        """See that nobody else can read the store. Raises Exposed."""
        if files := beside(self.db):
            raise Exposed(
                f"{', '.join(map(str, files))}: others can read what is there: tokens and people's data."
                f" Make it private: {chmod(files)}"
            )


def read(file: Path, env: Mapping[str, str] = os.environ) -> Place:
    """Read a configuration. Raises ConfigErrors with all that is wrong."""
    try:
        text = file.read_bytes()
    except OSError as error:
        remedy = "`bookferry init` writes one to start from, `-c FILE` names another one"
        problem = Problem(str(file), 1, 1, "", f"cannot be read ({error.strerror})", remedy)
        raise ConfigErrors([problem]) from None
    config = load(
        text,
        name=str(file),
        platforms=PLATFORMS,
        env=env,
        read_file=lambda path: _secret((file.parent / path).expanduser()),
        credential=_credentials(env),
    )
    if mode := exposed(file):
        _nothing_typed_in(config, file, mode)
    db = (file.parent / Path(config.state).expanduser()).resolve()
    if db.is_dir():
        remedy = f"name a file, such as {Path(config.state, 'bookferry.db')}"
        raise ConfigErrors([Problem(str(file), 1, 1, "state", f"{db} is a folder", remedy)])
    return Place(file, config, db)


def _secret(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    if mode := exposed(file):
        raise InvalidError(f"can be read by others (mode {mode})", chmod([file]))
    return text


def _nothing_typed_in(config: Config, file: Path, mode: str) -> None:
    remedy = f"{chmod([file])}, or put the secret elsewhere"
    message = f"{TYPED_IN}, which others can read (mode {mode})"
    found = [
        replace(each, message=message, remedy=remedy) for each in config.warnings if each.message == TYPED_IN
    ]
    if found:
        raise ConfigErrors(found)


def _credentials(env: Mapping[str, str]) -> Callable[[str], str | None]:
    def credential(name: str) -> str | None:
        folder = env.get(_CREDENTIALS)
        if not folder or "/" in name:
            return None
        file = Path(folder, name)
        return file.read_text(encoding="utf-8") if file.is_file() else None

    return credential


def key_file(db: Path) -> Path:
    """Where ``init`` keeps the sealing key: beside the database."""
    return db.with_name(db.name + ".key")


def key_place(db: Path, env: Mapping[str, str] = os.environ) -> str | None:
    """Where the sealing key is, in words."""
    if _credentials(env)(CREDENTIAL):
        return f"the systemd credential {CREDENTIAL}"
    if named := env.get("BOOKFERRY_KEY_FILE"):
        return named
    if env.get("BOOKFERRY_KEY"):
        return "the environment variable BOOKFERRY_KEY"
    return str(file) if (file := key_file(db)).exists() else None


def find_key(db: Path, env: Mapping[str, str] = os.environ) -> str | None:
    """The sealing key from the first place that has one. Raises WrongKey when that place cannot be read."""
    if found := _credentials(env)(CREDENTIAL):
        return found.strip()
    if named := env.get("BOOKFERRY_KEY_FILE"):
        return _text(Path(named), "BOOKFERRY_KEY_FILE")
    if given := env.get("BOOKFERRY_KEY"):
        return given.strip()
    file = key_file(db)
    return _text(file, "the key file") if file.exists() else None


def _text(file: Path, what: str) -> str:
    if mode := exposed(file):
        raise WrongKey(
            f"{what}: {file} can be read by others (mode {mode}). Make it private: {chmod([file])}"
        )
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no text"
        raise WrongKey(f"{what}: {file} cannot be read ({why}). Bring it back or correct the path.") from None


def sealing_key(db: Path, env: Mapping[str, str] = os.environ) -> str:
    """The sealing key. Raises WrongKey when there is none."""
    found = find_key(db, env)
    if not found:
        raise WrongKey(
            f"there is no sealing key: neither the systemd credential {CREDENTIAL}, BOOKFERRY_KEY_FILE, BOOKFERRY_KEY"
            f" nor {key_file(db)} holds one. `bookferry init` makes one where nothing is sealed yet."
        )
    return found
