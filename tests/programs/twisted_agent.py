"""twisted: two requests on one kept connection, over TLS with the certificate checked."""

import sys

from twisted.internet import defer, reactor, ssl, task
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, readBody

host, port, authority = sys.argv[1:]


async def main():
    with open(authority) as file:
        trust = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(file.read())])
    pool = HTTPConnectionPool(reactor)
    agent = Agent(reactor, BrowserLikePolicyForHTTPS(trust), pool=pool)
    for _ in range(2):
        answer = await agent.request(b"GET", f"https://{host}:{port}/".encode())
        print(answer.code, await readBody(answer))
    await pool.closeCachedConnections()


task.react(lambda _: defer.ensureDeferred(main()))
