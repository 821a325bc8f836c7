"""A text → the configuration, or all that is wrong with it, each mistake with line, column and remedy."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from mapping.capability import Platform
from mapping.config import Config, Server, is_loopback
from mapping.document import Path, parse
from mapping.problem import ConfigErrors, Problem, instead
from mapping.report import Report
from mapping.routes import Surroundings, read_guard, read_routes
from mapping.settings import ConnectionSettings
from mapping.substitute import Sources, substitute

TYPED_IN = "a secret is typed into the file"


def load(
    text: bytes | str,
    *,
    name: str,
    platforms: Mapping[str, Platform],
    env: Mapping[str, str],
    read_file: Callable[[str], str],
    credential: Callable[[str], str | None],
) -> Config:
    """Read a configuration. Raises ConfigErrors with all that is wrong.

    ``name`` is what messages call the file. ``read_file`` gives the text of a file or raises OSError;
    ``credential`` gives a systemd credential by its name, or None.
    """
    document = parse(text, name)
    if document.data is None and not document.problems:
        remedy = "bookferry init writes one to start from"
        raise ConfigErrors([Problem(name, 1, 1, "", "there is no configuration in this file", remedy)])
    filled = substitute(document.data, Sources(env, read_file, credential))
    report = Report(document, filled)
    config = _read(filled.data, platforms, report)
    if config is None or report.problems:
        raise ConfigErrors(report.problems)
    return config.warned(report.warnings)


def _read(data: Any, platforms: Mapping[str, Platform], report: Report) -> Config | None:
    if not isinstance(data, dict):
        report.add((), "is not a mapping of keys", "begin with connections: and routes:")
        return None
    parts = dict(data)
    connections = data.get("connections")
    known: dict[str, Platform | None] = {}
    if isinstance(connections, dict):
        known = {key: _platform(value, key, platforms, report) for key, value in connections.items()}
        parts["connections"] = _settings(connections, known, report)
    if isinstance(data.get("routes"), list):
        around = Surroundings(known, _tables(data.get("lookups")), report)
        parts["routes"] = read_routes(data["routes"], around)
    if isinstance(data.get("server"), dict):
        parts["server"] = _server(data["server"], report)
    read_guard(parts, (), report)
    if isinstance(data.get("alerts"), dict):
        _alerts(data["alerts"], report)
    config = report.validate(Config, parts, ())
    if config is not None and not config.routes and not report.problems:
        report.warn((), "there are no routes, so nothing is carried anywhere", "add routes:")
    return config


def _server(data: Mapping[str, Any], report: Report) -> Server:
    """The two doors; stand-ins when something is wrong with them, which is in the report by then."""
    server = report.validate(Server, data, ("server",))
    if server is not None and server.hooks == server.admin and server.hooks.port:
        at = "admin" if "admin" in data else "hooks"
        message = f"is the address of the {'hook' if at == 'admin' else 'admin'} door too"
        report.add(("server", at), message, "give each door its own port: never one listener for both")
    return server or Server()


def _alerts(data: Mapping[str, Any], report: Report) -> None:
    """The address of alerts lets anybody post there, so it is a secret; Config says what is wrong with it."""
    path: Path = ("alerts", "url")
    report.hide(path)
    given = data.get("url")
    if isinstance(given, str) and not report.is_foreign(path) and not _on_this_machine(given):
        report.warn(
            path, "a secret is typed into the file", "write ${ALERT_URL}, ${file:/path} or ${cred:name}"
        )


def _on_this_machine(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname)
    except ValueError:
        return False


def _tables(lookups: Any) -> dict[str, Any]:
    """The lookup tables as far as they are usable; Config says what is wrong with the others."""
    tables = lookups if isinstance(lookups, dict) else {}
    return {name: rows if isinstance(rows, dict) else {} for name, rows in tables.items()}


def _platform(value: Any, name: str, platforms: Mapping[str, Platform], report: Report) -> Platform | None:
    path: Path = ("connections", name)
    if not isinstance(value, dict):
        report.hide(path)
        report.add(path, "must be a mapping", "write platform: and the keys of the platform beneath it")
        return None
    word = value.get("platform")
    if isinstance(word, str) and word in platforms:
        return platforms[word]
    for key in value:
        if key not in {"platform", *ConnectionSettings.model_fields} or key == "webhook_secret":
            report.hide((*path, key))
    remedy = instead(str(word), platforms, "platforms")
    if word is None:
        report.add((*path, "platform"), "is missing", f"add it: {remedy}")
    else:
        report.add((*path, "platform"), f"there is no platform {report.word((*path, 'platform'))}", remedy)
    return None


def _settings(
    data: Mapping[str, Any], known: Mapping[str, Platform | None], report: Report
) -> dict[str, ConnectionSettings | None]:
    """The settings of every connection, with a stand-in for those that are wrong."""
    settings: dict[str, ConnectionSettings | None] = {}
    for name, platform in known.items():
        path: Path = ("connections", name)
        read = None
        if platform is not None:
            _hide(platform.settings, data[name], path, report)
            read = report.validate(platform.settings, data[name], path)
        if read is not None:
            _plain_http(read, path, report)
            _typed_in(read, data[name], path, report)
        # Whatever is wrong is in the report by now: no Config leaves this module with a stand-in in it.
        settings[name] = read or ConnectionSettings.model_construct(platform="")
    return settings


@cache
def secret_keys(settings: type[ConnectionSettings]) -> frozenset[str]:
    """The keys of a platform's settings that hold secrets."""
    return frozenset(key for key, info in settings.model_fields.items() if _mentions_secret(info.annotation))


def _mentions_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_mentions_secret(part) for part in get_args(annotation))


def _hide(settings: type[ConnectionSettings], data: Mapping[str, Any], path: Path, report: Report) -> None:
    for key in data:
        if key not in settings.model_fields or key in secret_keys(settings):
            report.hide((*path, key))


def _plain_http(settings: ConnectionSettings, path: Path, report: Report) -> None:
    url = urlsplit(settings.base_url or "")
    sent = secret_keys(type(settings)) - set(ConnectionSettings.model_fields)
    if url.scheme == "http" and not is_loopback(url.hostname) and any(getattr(settings, key) for key in sent):
        at = (*path, "base_url")
        report.add(
            at,
            f"{report.word(at)} would send secrets over plain http".strip(),
            "write https://, or use an address on this machine",
        )


def _typed_in(settings: ConnectionSettings, data: Mapping[str, Any], path: Path, report: Report) -> None:
    for key in sorted(secret_keys(type(settings)) & set(data)):
        values = data[key] if isinstance(data[key], list) else [data[key]]
        for i, value in enumerate(values):
            at = (*path, key, i) if isinstance(data[key], list) else (*path, key)
            if value and not report.is_foreign(at):
                remedy = f"write ${{{key.upper()}}}, ${{file:/path}} or ${{cred:name}}"
                report.warn(at, TYPED_IN, remedy)
