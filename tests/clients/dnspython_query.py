"""dnspython asks a name server: by udp, by tcp, or as resolv.conf says (resolver)."""

import sys

import dns.exception
import dns.message
import dns.query
import dns.resolver

way, name, server = sys.argv[1:]
try:
    if way == "resolver":
        answer = dns.resolver.resolve(name, "A", lifetime=3)
    else:
        question = dns.message.make_query(name, "A")
        answer = getattr(dns.query, way)(question, server, timeout=5).answer[0]
    print(len(answer), "address")
except (OSError, dns.exception.DNSException) as error:
    print("refused:", type(error).__name__)
