"""The one HTTP client. No other module knows which library carries the bytes.

Two verbs instead of nine: `read` may be repeated, `write` may not. Methods do not tell which is which (a
token is read with POST, and not every PUT may be sent twice), so the caller does.

    Client                    what connectors see: an Answer or a PlatformError
      httpx.AsyncClient       no redirects, no cookies, nothing from the environment
        _Chain                repeats what is safe to repeat; budget, time limit, size limit
          AiohttpTransport    the sockets: kept open for reads, a new one for each write
"""

import asyncio
import logging
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, partial
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Unpack
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_random_exponential

from connectors.answer import Answer, retry_after
from connectors.budget import Budget, Lane
from connectors.call import Auth, Call, Hook, Leave, Parts, Scopes, checked_base, overall, segment
from connectors.errors import BadAnswer, OutcomeUnknown, PlatformError, TryLater, classify

__all__ = ["Answer", "Auth", "Client", "Hook", "segment"]

ATTEMPTS = 4
"""How often a call is tried, the first time included."""

PATIENCE = 65.0
"""Seconds that a call may spend on repetitions, or in line for its budget: a window of a minute passes meanwhile, with
the travel of its requests. More is a schedule's business.
"""

# Seconds that a 429 without a Retry-After holds everybody who shares the budget.
_BLIND_HOLD = 5.0
# Below the 5 s after which Node closes an idle connection: it must not do so just as we use it.
_KEEP_IDLE = 4.0
_CONNECTIONS = 10
_SERVER_ERRORS = range(500, 600)
_REPEAT_READ = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_TOO_LONG = "sent more than the size limit allows"


class _Lost(Exception):
    """No answer. `sent`: the request may have reached the platform. `final`: trying again changes nothing."""

    def __init__(self, why: str, *, sent: bool = True, final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent
        self.final = final


# First match counts. What happens before a request leaves is raised by the connector in these two classes.
_UNSENT: tuple[type[Exception], ...] = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_WHY: Mapping[type[Exception], str] = {
    aiohttp.ClientConnectorDNSError: "has a name that could not be resolved",
    aiohttp.ClientSSLError: "failed the TLS handshake or has a certificate that is not trusted",
    aiohttp.ConnectionTimeoutError: "could not be connected to in time",
    aiohttp.ClientConnectorError: "could not be connected to",
    TimeoutError: "did not answer in time",
    httpx.ReadTimeout: "did not answer in time",
    httpx.ReadError: "cut its answer short",
    httpx.RemoteProtocolError: "redirected to something that is not an address",
    aiohttp.ClientResponseError: "answered something that is not HTTP",
    aiohttp.ServerDisconnectedError: "closed the connection without an answer",
}

_Outcome = httpx.Response | _Lost


def _lost(error: Exception) -> _Lost:
    why = next((why for kind, why in _WHY.items() if isinstance(error, kind)), "broke the connection")
    return _Lost(why, sent=not isinstance(error, _UNSENT))


async def _tell_apart(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Translate the socket's errors where they happen.

    Higher up they are lost: the transport tells a refused connection and one broken after sending by the same
    name (ConnectTimeout), and aiohttp silently sends a GET, PUT or DELETE again after some of its own errors.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientError, OSError) as error:
        raise _lost(error) from None


class _Chain(httpx.AsyncBaseTransport):
    """From one call to as many requests as are safe and allowed."""

    def __init__(
        self,
        budget: Budget,
        *,
        scopes: Scopes,
        total: float,
        max_body: int,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
        on_request: Hook | None,
        before_write: Leave | None,
    ) -> None:
        self._budget = budget
        self._scopes = scopes
        self._total = total
        self._max_body = max_body
        self._clock = clock
        self._sleep = sleep
        self._on_request = on_request
        self._before_write = before_write
        tls = tls_context()
        self._kept = AiohttpTransport(verify=tls, client=partial(_session, tls, keep=True))
        # A kept connection may be closed by the server at the very moment we write on it, and then nobody
        # knows whether the write arrived. Writes are few: each gets a connection of its own.
        self._fresh = AiohttpTransport(verify=tls, client=partial(_session, tls, keep=False))
        self._backoff = wait_random_exponential(multiplier=0.5, max=8)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call: Call = request.extensions["call"]
        outcome = await self._attempt(request, call)
        if _repeatable(outcome, write=call.write):
            outcome = await self._repeat(request, call, outcome)
        if isinstance(outcome, _Lost):
            raise outcome
        return outcome

    async def _repeat(self, request: httpx.Request, call: Call, first: _Outcome) -> _Outcome:
        """Go on after a first attempt that failed. Ends with the last outcome, whatever it is."""
        started = self._clock()
        known = [first]

        async def attempt() -> _Outcome:
            return known.pop() if known else await self._attempt(request, call)

        def enough(state: RetryCallState) -> bool:
            spent = self._clock() - started + state.upcoming_sleep
            return state.attempt_number >= ATTEMPTS or spent > PATIENCE

        # A new object each time, as it keeps state between its awaits.
        retrying = AsyncRetrying(
            sleep=self._rest,
            stop=enough,
            wait=self._pause,
            retry=retry_if_result(partial(_repeatable, write=call.write)),
            retry_error_callback=_last,
        )
        outcome: _Outcome = await retrying(attempt)
        return outcome

    async def _rest(self, seconds: float) -> None:
        await self._sleep(seconds)

    def _pause(self, state: RetryCallState) -> float:
        outcome = _last(state)
        asked = 0.0 if isinstance(outcome, _Lost) else outcome.extensions["retry_after"]
        return max(self._backoff(state), asked)

    async def _attempt(self, request: httpx.Request, call: Call) -> _Outcome:
        """One request. A missing answer is a value here, as it is nothing unusual."""
        scopes = self._scopes(call.method, call.path)
        await self._budget.take(*scopes, lane=call.lane, patience=PATIENCE)
        if call.write and self._before_write is not None:
            await self._before_write()  # here and not earlier: the line before may have been a minute long
        started = self._clock()
        outcome: _Outcome
        try:
            async with asyncio.timeout(self._total):
                outcome = await self._exchange(request, write=call.write)
        except _Lost as lost:
            outcome = lost
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            outcome = _lost(error)
        self._note(call, scopes, outcome, started)
        return outcome

    async def _exchange(self, request: httpx.Request, *, write: bool) -> httpx.Response:
        response = await (self._fresh if write else self._kept).handle_async_request(request)
        try:
            raw = await _whole(response, self._max_body)
        finally:
            await response.aclose()
        headers = response.headers
        if encoding := headers.pop("content-encoding", ""):
            raw = _decompress(raw, encoding.lower(), self._max_body)
        return httpx.Response(response.status_code, headers=headers, content=raw, request=request)

    def _note(self, call: Call, scopes: tuple[str, ...], outcome: _Outcome, started: float) -> None:
        """Keep what the answer says about time, hold the budget if it asks for that, and tell the hook."""
        now = self._clock()
        status = 0
        if isinstance(outcome, httpx.Response):
            status = outcome.status_code
            asked = retry_after(outcome.headers, int(now * 1000))
            outcome.extensions.update(asked_at=int(started * 1000), retry_after=asked or 0.0)
            if status == HTTPStatus.TOO_MANY_REQUESTS or (asked and status in _SERVER_ERRORS):
                for scope in scopes:
                    self._budget.hold(scope, now + (_BLIND_HOLD if asked is None else asked))
        if self._on_request is not None:
            self._on_request(call.method, call.path, status, (now - started) * 1000)

    async def aclose(self) -> None:
        await self._kept.aclose()
        await self._fresh.aclose()


class Client:
    """All HTTP with one platform account. One a connection; close it with `aclose`."""

    def __init__(
        self,
        base: str,
        budget: Budget,
        *,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        scopes: Scopes = overall,
        connect: float = 10.0,
        read: float = 30.0,
        total: float = 60.0,
        max_body: int = 16 * 2**20,
        user_agent: str = "bookferry",
        plain_http: bool = False,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        on_request: Hook | None = None,
        before_write: Leave | None = None,
    ) -> None:
        """Talk to `base` (origin, and a path if all calls share one) and to nobody else.

        `headers` go with every request (an API key, say). `scopes` names the budget scopes of (method, path).
        Time limits are in seconds: for a connection, for silence, for one whole attempt. Plain http is for
        the loopback only, unless `plain_http` allows it. What `before_write` raises goes to the caller of
        `write`, and nothing is sent. `ValueError` for a base that is none.
        """
        self._base = checked_base(base, plain_http=plain_http)
        self.host = urlsplit(self._base).hostname or ""
        self._auth = auth
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "gzip",
            "user-agent": user_agent,
            **(headers or {}),
        }
        self._timeout = {"connect": connect, "read": read, "pool": total / 2}
        chain = _Chain(
            budget,
            scopes=scopes,
            total=total,
            max_body=max_body,
            clock=clock,
            sleep=sleep,
            on_request=on_request,
            before_write=before_write,
        )
        # It logs every address with its query at INFO.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self._http = httpx.AsyncClient(
            transport=chain, trust_env=False, follow_redirects=False, cookies=no_cookies
        )

    async def read(
        self, path: str, *, method: str = "GET", lane: Lane = Lane.POLL, **parts: Unpack[Parts]
    ) -> Answer:
        """Ask for something that changes nothing, up to `ATTEMPTS` times within `PATIENCE`.

        Gives an answer of 2xx, or of 4xx that stays one, 401 after renewed credentials included (see
        `Answer.check`). `TryLater` when nothing useful came, `BadAnswer` for a redirect or an endless body.
        """
        return await self._ask(Call.of(method, path, write=False, lane=lane, **parts))

    async def write(
        self, method: str, path: str, *, lane: Lane = Lane.PUSH, **parts: Unpack[Parts]
    ) -> Answer:
        """Change something, once. Tried again only where the platform cannot have got or applied it.

        Gives an answer of 2xx or 4xx. `TryLater`: not applied. `OutcomeUnknown`: perhaps applied. A write
        that is cancelled from outside is in the same doubt.
        """
        return await self._ask(Call.of(method, path, write=True, lane=lane, **parts))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, call: Call) -> Answer:
        if self._auth is None:
            return _settled(await self._send(call, {}))
        credentials = await self._auth.headers()
        answer = await self._send(call, credentials)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            # A call that was refused with 401 was not applied, so even a write may be repeated.
            renewed = await self._auth.renew(credentials)
            if renewed is not None:
                answer = await self._send(call, renewed)
        return _settled(answer)

    async def _send(self, call: Call, credentials: Mapping[str, str]) -> Answer:
        url = f"{self._base}{call.path}?{call.query}" if call.query else self._base + call.path
        request = httpx.Request(
            call.method,
            url,
            headers={**self._headers, **call.headers, **credentials},
            content=call.content,
            extensions={"timeout": self._timeout, "call": call},
        )
        try:
            response = await self._http.send(request)
        except (_Lost, httpx.HTTPError) as error:
            raise self._meaning(error if isinstance(error, _Lost) else _lost(error), call) from None
        about = (call.method, call.path, call.write)
        asked_at = response.extensions["asked_at"]
        return Answer(*about, response.status_code, response.headers, response.content, asked_at)

    def _meaning(self, lost: _Lost, call: Call) -> PlatformError:
        sentence = f"{call.method} {call.path}: {self.host} {lost.why}."
        if call.write and lost.sent:
            return OutcomeUnknown(sentence)
        return BadAnswer(sentence) if lost.final else TryLater(sentence)


def _settled(answer: Answer) -> Answer:
    error = classify(answer.status, write=answer.write)
    return answer.check() if error in {TryLater, BadAnswer, OutcomeUnknown} else answer


def _repeatable(outcome: _Outcome, *, write: bool) -> bool:
    if isinstance(outcome, _Lost):
        return not outcome.final and not (write and outcome.sent)
    if write:
        return outcome.status_code == HTTPStatus.TOO_MANY_REQUESTS
    return outcome.status_code in _REPEAT_READ or outcome.status_code in _SERVER_ERRORS


def _last(state: RetryCallState) -> _Outcome:
    outcome: Any = state.outcome
    result: _Outcome = outcome.result()
    return result


@cache
def tls_context() -> ssl.SSLContext:
    """Whom TLS trusts. It reads 140 certificates: once is enough for a process."""
    return httpx.create_ssl_context(trust_env=False)


def _session(tls: ssl.SSLContext, *, keep: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        ssl=tls,
        limit=_CONNECTIONS,
        **({"keepalive_timeout": _KEEP_IDLE} if keep else {"force_close": True}),
    )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), middlewares=(_tell_apart,)
    )


async def _whole(response: httpx.Response, limit: int) -> bytes:
    parts = []
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > limit:
            raise _Lost(_TOO_LONG, final=True)
        parts.append(part)
    return b"".join(parts)


def _decompress(raw: bytes, encoding: str, limit: int) -> bytes:
    """Unpack what may be a bomb: never more than `limit` bytes are made of it."""
    if encoding not in {"gzip", "x-gzip"}:
        raise _Lost("answered in a compression that was not asked for", final=True)
    unzip = zlib.decompressobj(wbits=31)
    try:
        plain = unzip.decompress(raw, limit + 1)
    except zlib.error:
        raise _Lost("answered with broken gzip data") from None
    if len(plain) > limit:
        raise _Lost(_TOO_LONG, final=True)
    if not unzip.eof:
        raise _Lost("cut its answer short")
    return plain
