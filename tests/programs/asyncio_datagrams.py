"""asyncio's datagram endpoint: an echo over UDP."""

import asyncio
import sys


class Echo(asyncio.DatagramProtocol):
    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        transport.sendto(b"hello")

    def datagram_received(self, data, addr):
        self.answer.set_result(data.decode())

    def error_received(self, error):
        if not self.answer.done():
            self.answer.set_exception(error)

    def connection_lost(self, error):
        if error is not None and not self.answer.done():
            self.answer.set_exception(error)


async def main(host, port):
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Echo, remote_addr=(host, port))
    print(await asyncio.wait_for(protocol.answer, 5))
    transport.close()


try:
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
except OSError as error:
    print("refused:", type(error).__name__)
