"""Hostile framing: what a request looks like on the wire, where it is not what HTTP wants it to look like."""

PATHS = (
    b"/", b"*", b"//", b"/hooks", b"/hooks/", b"/hooks//", b"/hooks/salon/", b"/hooks/salon/x", b"/hooks/nobody", b"/hooks/%00",
    b"/hooks/..%2fsalon", b"/hooks/../metrics", b"/hooks/salon?x=%ff&y=1", b"/hooks/salon#f", b"/hooks/%F0%9F%A7%A8", b"/hooks/\xff\xfe",
    b"/hooks/%zz", b"/hooks/" + b"a" * 3_000, b"http://evil.example/hooks/salon", b"evil.example:443", b"/metrics", b"/healthz",
    b"/metrics/", b"/metrics?name[]=x", b"/openapi.json", b"/docs", b"/.env", b"/healthz%0d%0aset-cookie:x", b"/hooks/salon;x=1",
)  # fmt: skip
METHODS = (
    b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT", b"PRI", b"post", b"FOO", b"PROPFIND",
    b"M-SEARCH", b"POST", b"POST",
)  # fmt: skip
HEADERS = (
    b"x-long: " + b"y" * 20_000, b"x-long: " + b"y" * 40_000, b"x-control: a\x01b", b"x-null: a\0b", b"x-latin: \xe9\xff", b"x name: 1",
    b"x-folded: a\r\n b", b": empty", b"x-bare\n: 1", b"cookie: a=b", b"host: other", b"expect: 100-continue", b"expect: something",
    b"upgrade: websocket\r\nconnection: upgrade", b"upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: x",
    b"connection: close", b"connection: keep-alive, x-bookatu-signature", b"content-encoding: gzip", b"content-type: text/html",
    b"x-forwarded-for: 1.2.3.4\r\nx-forwarded-host: evil.example", b"x-bookatu-signature: t=1,v1=00", b"te: trailers", b"authorization: Bearer x",
    b"x-nowistay-event: booking.updated\r\nx-nowistay-event: \xff", b"content-type: application/json; charset=utf-7", b"x-many: 1\r\n" * 300 + b"x-end: 1",
)  # fmt: skip


def request(method, path, headers, body, *more):
    """A request as HTTP wants it."""
    lines = [method + b" " + path + b" HTTP/1.1", b"host: door", *more]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])


def chunked(random, body):
    """A body in chunks."""
    parts, at = [], 0
    while at < len(body):
        size = random.choice((1, 7, 100, 5_000))
        piece = body[at : at + size]
        shape = random.choice((b"%x", b"%X", b"000%x", b"%x;ext=1", b'%x;a="b"'))
        parts.append(shape % len(piece) + b"\r\n" + piece + b"\r\n")
        at += size
    return b"".join(
        [*parts, b"0\r\n", random.choice((b"", b"", b"x-trailer: 1\r\n", b"content-length: 5\r\n")), b"\r\n"]
    )


def odd(random, path, headers, body):
    """A request that two readers may read differently, or nobody can."""
    plain = request(b"POST", path, headers, body)
    head, _, _ = plain.partition(b"\r\n\r\n")
    bare = head.rpartition(b"\r\n")[0]
    size = len(body)
    smuggled = request(b"GET", b"/metrics", {}, b"")
    forms = (
        bare + b"\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(random, body),
        head + b"\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(random, body) + smuggled,
        bare + b"\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n" + smuggled,
        bare + b"\r\ntransfer-encoding: " + random.choice((b"xchunked", b"chunked, identity", b"identity", b" chunked", b"\x0bchunked"))
        + b"\r\n\r\n" + chunked(random, body),
        bare + b"\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled,
        bare + b"\r\ncontent-length: " + random.choice((b"+5", b"-1", b"0x5", b"5, 5", b"1_0", b"", b"9" * 30, b" 5 ", b"5\r\ncontent-length: 6"))
        + b"\r\n\r\n" + body,
        bare + b"\r\ncontent-length: %d\r\n\r\n" % max(0, size - 5) + body + smuggled,
        bare + b"\r\ncontent-length: %d\r\n\r\n" % (size + 50) + body,
        bare + b"\r\n\r\n" + body,
        plain * random.choice((2, 3, 8, 40)),
        smuggled * 2_000,
        plain.replace(b"\r\n", b"\n", random.choice((1, 2, 99))),
        plain.replace(b"HTTP/1.1", random.choice((b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"http/1.1", b"")), 1),
        b"\r\n" * random.choice((1, 500)) + plain,
        head + b"\r\n" + random.choice(HEADERS) + b"\r\n\r\n" + body,
        head + b"\r\n" + random.choice(HEADERS) + b"\r\n" + random.choice(HEADERS) + b"\r\n\r\n" + body,
        plain.replace(b"x-", b"X-", 1).replace(b": ", b":", 2),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(100),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        bytes(byte if random.random() > 0.01 else random.randrange(256) for byte in head) + b"\r\n\r\n" + body,
        plain[: random.randrange(len(plain))],
        bare + b"\r\ntransfer-encoding: chunked\r\n\r\n" + random.choice((b"fffffffffffffffff\r\n", b"-1\r\n", b"5\r\nabc", b"g\r\n", b"5;" + b"x" * 70_000)),
    )  # fmt: skip
    return random.choice(forms)
