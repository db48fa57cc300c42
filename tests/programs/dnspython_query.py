"""dnspython asks for records of a type: by udp or tcp, which name their server, or as resolv.conf says (resolver)."""

import sys

import dns.exception
import dns.message
import dns.query
import dns.resolver

way, kind, name, *server = sys.argv[1:]
try:
    if way == "resolver":
        response = dns.resolver.resolve(name, kind, lifetime=10, raise_on_no_answer=False).response
    else:
        response = getattr(dns.query, way)(dns.message.make_query(name, kind), *server, timeout=5)
    print(len(response.answer), "answered")
except (OSError, dns.exception.DNSException) as error:
    print("refused:", type(error).__name__)
