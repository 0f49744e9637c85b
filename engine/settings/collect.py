"""The public plane's sections: the listener, its rate limits, and what is kept of visitors."""

from ipaddress import ip_network
from typing import Annotated, Literal

from msgspec import Meta, Struct

from engine.model.types import MIB, Address, Bytes, HostName, Number, Port, Seconds

Path = Annotated[str, Meta(max_length=4096)]
PerSecond = Annotated[float, Meta(ge=0, le=10_000_000)]
Burst = Annotated[int, Meta(ge=1, le=10_000_000)]
Network = Annotated[str, Meta(min_length=1, max_length=64)]
Origin = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(\*|https?://[^\s/]+)$")]
CookieName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]*$")]


class CollectSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public plane, where events come in."""

    host: Annotated[
        Address, Meta(description="Address to listen on. Local by default: nothing is public until somebody says so.")
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="0 picks a free one.")] = 8080
    tls_certificate: Annotated[
        Path, Meta(description="PEM file with the certificate chain; with tls_key it makes the plane speak TLS.")
    ] = ""
    tls_key: Annotated[Path, Meta(description="PEM file with the private key.")] = ""
    max_body_bytes: Annotated[
        Bytes,
        Meta(
            description="Largest body, also after it is inflated: 100 activities of 8000 characters fit even at four"
            " bytes a character."
        ),
    ] = 4 * MIB
    max_buffered_bytes: Annotated[
        Bytes, Meta(description="Of all bodies that are on their way in, and answers on their way out, together.")
    ] = 256 * MIB
    max_request_line_bytes: Annotated[
        int,
        Meta(ge=1024, le=1 << 20, description="Method, address and version: pixels carry their event in the address."),
    ] = 16 * 1024
    max_header_bytes: Annotated[
        int, Meta(ge=1024, le=1 << 20, description="All header lines of a request together.")
    ] = 32 * 1024
    max_headers: Annotated[int, Meta(ge=8, le=10_000, description="Header lines of a request.")] = 100
    max_pipelined: Annotated[
        int, Meta(ge=1, le=10_000, description="Requests of one connection that wait for their answers.")
    ] = 64
    max_connections: Annotated[
        Number, Meta(description="Open at a time; more are told 503 and closed. About 10 kB each while idle.")
    ] = 20_000
    max_connections_per_address: Annotated[
        Number, Meta(description="The same from one address; a proxy that is trusted has no such bound.")
    ] = 1_000
    head_timeout_s: Annotated[
        Seconds, Meta(description="How long a request line and its headers may take, from their first byte: then 408.")
    ] = 10.0
    body_timeout_s: Annotated[
        Seconds, Meta(description="How long a body may take: 4 MiB from a slow phone, but no connection held for ever.")
    ] = 30.0
    idle_timeout_s: Annotated[
        Seconds,
        Meta(description="An idle connection is closed after so long: longer than load balancers keep theirs."),
    ] = 75.0
    write_timeout_s: Annotated[
        Seconds, Meta(description="An answer that its sender does not read is given up after so long.")
    ] = 20.0
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Meta(
            description="Networks whose word on the client's address is taken (forwarded_header, the PROXY protocol),"
            " such as 10.0.0.0/8. Of all others it is ignored."
        ),
    ] = ()
    forwarded_header: Annotated[
        Literal["x-forwarded-for", "forwarded"],
        Meta(
            description="The header that trusted proxies keep. The other one is not read: they pass it on as a stranger"
            " has sent it. `X-Forwarded-Proto` goes with the first."
        ),
    ] = "x-forwarded-for"
    proxy_protocol: Annotated[
        bool, Meta(description="Whether each connection of a trusted proxy begins with a PROXY line, version 1 or 2.")
    ] = False
    cors_origins: Annotated[
        tuple[Origin, ...],
        Meta(
            description="Origins whose pages may send and read answers, beside the sites' own hosts, without"
            " credentials; `*` for any."
        ),
    ] = ()
    explain: Annotated[
        bool, Meta(description="Whether `?explain=1` answers with what was made of a request: for development.")
    ] = False
    demo: Annotated[bool, Meta(description="Whether `/demo` is served, a page that sends real events.")] = False

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key belong together")
        if self.max_buffered_bytes < self.max_body_bytes:
            raise ValueError("max_buffered_bytes is less than max_body_bytes")
        for network in self.trusted_proxies:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"trusted_proxies: {error}") from None


class RateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast senders may send: a token bucket each. Above it they hear 429 and `Retry-After`; 0 is no limit."""

    requests_per_s_of_address: Annotated[PerSecond, Meta(description="Of one client address (an IPv6 /64).")] = 0.0
    burst_of_address: Annotated[Burst, Meta(description="How many of them may come at once.")] = 1_000
    requests_per_s_of_token: Annotated[PerSecond, Meta(description="With one token, from wherever.")] = 0.0
    burst_of_token: Annotated[Burst, Meta(description="How many of them may come at once.")] = 10_000
    events_per_s_of_user: Annotated[
        PerSecond, Meta(description="Of one user point: more come from a robot, or a loop.")
    ] = 0.0
    burst_of_user: Annotated[Burst, Meta(description="How many of them may come at once.")] = 10_000
    max_tracked: Annotated[
        Number, Meta(description="Buckets of each kind that are kept: who has not sent for longest is forgotten first.")
    ] = 100_000


class VisitorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How visitors of pages are recognised, and what is kept of their address."""

    cookie_name: Annotated[CookieName, Meta(description="Of the cookie that holds a visitor's id.")] = "sojourn_vid"
    cookie_days: Annotated[
        int, Meta(ge=1, le=400, description="How long it lives: 13 months, the most that European regulators accept.")
    ] = 395
    cookie_domain: Annotated[
        HostName, Meta(description="Its domain, for several hosts of one site; empty: the host that set it.")
    ] = ""
    honour_do_not_track: Annotated[
        bool, Meta(description="Whether a browser that says `DNT: 1` gets no cookie, and its events are dropped.")
    ] = True
    honour_global_privacy_control: Annotated[bool, Meta(description="The same for `Sec-GPC: 1`.")] = True
    geo_database: Annotated[
        Path, Meta(description="Database in MaxMind's format that turns addresses into `$location`; empty: none.")
    ] = ""
    geo_truncate: Annotated[
        bool, Meta(description="Whether the address is cut to its network (/24, /48) before it is looked up.")
    ] = True
    store_client_address: Annotated[
        bool, Meta(description="Whether an activity keeps the client's address, as its property `client_address`.")
    ] = False
