"""asyncssh: two commands at once, a port forwarded over the connection, and a file there and back by SFTP."""

import asyncio
import sys

import asyncssh


async def main(host, port):
    login = {"username": "user", "password": "secret", "known_hosts": None, "client_keys": None, "config": None}
    async with asyncssh.connect(host, port, **login) as connection:
        answers = await asyncio.gather(*(connection.run(f"echo {word}", check=True) for word in ("one", "two")))
        print([answer.stdout.strip() for answer in answers])
        # The server is asked to connect to itself, which greets.
        reader, writer = await connection.open_connection("localhost", port)
        print((await reader.readline()).startswith(b"SSH-2.0-"))
        writer.close()
        async with connection.start_sftp_client() as sftp:
            async with sftp.open("asyncssh", "w") as file:
                await file.write("kept")
            async with sftp.open("asyncssh") as file:
                print(await file.read())
            await sftp.remove("asyncssh")


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
