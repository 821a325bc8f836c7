"""Sealed tokens: AES-256-GCM, each bound to its row, so that a sealed value cannot be moved to another one."""

import base64
import binascii
import hmac
import os

from state.database import Tx
from state.errors import WrongKey

KEY_BYTES = 32
_NONCE_BYTES = 12


def new_key() -> str:
    """A new sealing key, as it is kept: base64."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return base64.b64encode(AESGCM.generate_key(KEY_BYTES * 8)).decode()


class Box:
    """Seals and opens with one key."""

    def __init__(self, key: str) -> None:
        """``key``: 32 bytes in base64. Raises WrongKey for anything else, without repeating it."""
        try:
            raw = base64.b64decode(key.strip(), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            raise WrongKey("the sealing key must be 32 bytes in base64. `bookferry init` makes one.")
        from cryptography.exceptions import InvalidTag  # slow to load, and not every command seals
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(raw)
        self.mark_key = hmac.digest(raw, b"bookferry origin marks", "sha256")
        """What a database begins to make origin marks under."""
        self._broken: tuple[type[Exception], ...] = (InvalidTag, ValueError)

    def seal(self, plain: bytes, where: str) -> bytes:
        """Seal a value for the row named ``where``."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, where.encode())

    def open(self, sealed: bytes, where: str) -> bytes:
        """Open what was sealed for this row. Raises WrongKey."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], where.encode())
        except self._broken:  # ValueError: cut short
            raise WrongKey(
                f"the sealing key does not open {where!r}. Bring back the key that was in use (systemd credential"
                " bookferry-key, BOOKFERRY_KEY_FILE or BOOKFERRY_KEY), or forget the sealed tokens with"
                " `bookferry forget-tokens` and log in again."
            ) from None


def put(
    tx: Tx, box: Box, name: str, plain: bytes, *, expires_at: int | None = None, seed: bytes | None = None
) -> None:
    """Keep a value sealed. ``seed``: digest of the configured secret that it grew from."""
    tx.run(
        "INSERT INTO token (name, sealed, expires_at, seed) VALUES (:n, :s, :e, :seed)"
        " ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, expires_at = excluded.expires_at, seed = excluded.seed",
        n=name,
        s=box.seal(plain, name),
        e=expires_at,
        seed=seed,
    )


def get(tx: Tx, box: Box, name: str) -> tuple[bytes, bytes | None] | None:
    """A kept value and its seed; None where there is none. Raises WrongKey."""
    row = tx.row("SELECT sealed, seed FROM token WHERE name = :n", n=name)
    return (box.open(row["sealed"], name), row["seed"]) if row else None


def names(tx: Tx, prefix: str = "") -> list[str]:
    """The names of all kept values that begin with ``prefix``."""
    rows = tx.rows("SELECT name FROM token WHERE substr(name, 1, length(:p)) = :p ORDER BY name", p=prefix)
    return [row["name"] for row in rows]


def forget(tx: Tx, name: str) -> bool:
    """Delete a kept value."""
    return bool(tx.run("DELETE FROM token WHERE name = :n", n=name))


def check(tx: Tx, box: Box) -> None:
    """See that the key opens what is sealed. Raises WrongKey."""
    for name in names(tx)[:1]:
        get(tx, box, name)


def keep_mark_key(tx: Tx, box: Box) -> None:
    """Let a new database make the marks that a lost one made under the same sealing key. A later key changes nothing."""
    tx.run("INSERT INTO mark_key (key) SELECT :k WHERE NOT EXISTS (SELECT 1 FROM mark_key)", k=box.mark_key)


def mark_key(tx: Tx) -> bytes:
    """What origin marks are made under. It stands in the open, since ``plan`` has no sealing key."""
    return tx.value("SELECT key FROM mark_key") or b""


def take_lease(tx: Tx, name: str, holder: str, *, now: int, until: int) -> bool:
    """Become the only one who may do a thing, until a moment. Gives whether that worked."""
    return bool(
        tx.rows(
            "INSERT INTO lease (name, holder, until) VALUES (:n, :h, :u) ON CONFLICT (name) DO UPDATE"
            " SET holder = excluded.holder, until = excluded.until WHERE lease.until <= :now OR lease.holder = excluded.holder"
            " RETURNING name",
            n=name,
            h=holder,
            u=until,
            now=now,
        )
    )


def drop_lease(tx: Tx, name: str, holder: str) -> None:
    """Let others have it."""
    tx.run("DELETE FROM lease WHERE name = :n AND holder = :h", n=name, h=holder)


def drop_leases(tx: Tx) -> None:
    """Forget all leases: for the one who has just locked the store."""
    tx.run("DELETE FROM lease")
