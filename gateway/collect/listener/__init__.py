"""The collect plane's own HTTP/1.1 listener: Trio and httptools, one task a connection, no framework on this path.

serve.py            accepts, counts, sweeps, drains
connection.py       one connection: requests in, answers out in their order; line.py, their places
poller.py           one epoll for all plain sockets
parser.py           bytes → requests; what is not strictly HTTP/1.1 is refused; heads.py, what was parsed before
render.py           replies → bytes
transport.py        a socket or TLS: receive waits, write does not
client_address.py   who sent it, behind trusted proxies; proxy_protocol.py the same for PROXY lines
"""
