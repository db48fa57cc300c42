"""Addresses, credentials and messages for properties."""

from __future__ import annotations

from hypothesis import strategies as st

from socksify.protocol import http_connect, socks4, socks5
from socksify.protocol.address import IPV4, NAME, Address

ports = st.integers(0, 65535)
octets = st.integers(0, 255)
# Bytes but for the null that ends a SOCKS4A name; those beyond ASCII are what a surrogate stands for.
raw_names = st.lists(st.integers(1, 255), min_size=1, max_size=255).map(
    lambda values: bytes(values).decode("ascii", "surrogateescape")
)
host_names = st.from_regex(r"\A[a-z0-9_-]{1,20}(\.[a-z][a-z0-9-]{0,20}){0,8}\Z")

ipv4 = st.builds(lambda ip, port: Address.of(str(ip), port), st.ip_addresses(v=4), ports)
ipv6 = st.builds(lambda ip, port: Address.of(str(ip), port), st.ip_addresses(v=6), ports)
names = st.builds(Address, st.just(NAME), raw_names | host_names, ports)
addresses = ipv4 | ipv6 | names
# As `Address.of` makes them: a name that reads like a literal would come back as one from a URI.
written = ipv4 | ipv6 | st.builds(Address.of, host_names, ports)
# 0.0.0.1 to 0.0.0.255 announce a name.
socks4_addresses = names | ipv4.filter(lambda a: not a.host.startswith("0.0.0.") or a.host == "0.0.0.0")

tokens = st.binary(min_size=1, max_size=255)
userids = tokens.map(lambda token: token.replace(b"\0", b"")) | st.just(b"")
reasons = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=80)

messages = st.one_of(
    addresses,
    st.builds(socks5.Greeting, st.binary(max_size=255)),
    st.builds(socks5.MethodChoice, octets),
    st.builds(socks5.Credentials, tokens, tokens),
    st.builds(socks5.CredentialsStatus, octets),
    st.builds(socks5.Request, octets, addresses),
    st.builds(socks5.Reply, octets, addresses),
    st.builds(socks4.Request, octets, socks4_addresses, userids),
    st.builds(socks4.Reply, octets, st.builds(Address, st.just(IPV4), st.ip_addresses(v=4).map(str), ports)),
    st.builds(
        http_connect.ConnectRequest,
        written,
        st.none() | st.tuples(tokens.filter(lambda user: b":" not in user), tokens),
    ),
    st.builds(http_connect.Response, st.just(101) | st.integers(200, 999), reasons),
)
