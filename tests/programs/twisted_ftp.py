"""Twisted's FTP client in active mode, in which it listens with a reactor's port; knows nothing of proxies."""

import sys

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.protocol import ClientCreator, Protocol
from twisted.protocols.ftp import FTPClient

host, user, password = sys.argv[1:]


class Kept(Protocol):
    def __init__(self):
        self.data = b""

    def dataReceived(self, data):
        self.data += data


@inlineCallbacks
def main():
    client = yield ClientCreator(reactor, FTPClient, user, password, passive=0).connectTCP(host, 21)
    ready, done = client.storeFile("greeting.txt")
    consumer = yield ready
    consumer.transport.write(b"hello from twisted\n")
    consumer.finish()
    yield done
    kept = Kept()
    yield client.retrieveFile("greeting.txt", kept)
    sys.stdout.write(kept.data.decode())
    yield client.quit()


def failed(reason):
    reason.printTraceback(sys.stderr)


main().addErrback(failed).addBoth(lambda _: reactor.stop())
reactor.run()
