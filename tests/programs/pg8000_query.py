"""pg8000: a table made, filled and read, over TLS."""

import ssl
import sys

import pg8000.native

host, port, authority = sys.argv[1:]
login = {"host": host, "port": int(port), "database": "test", "timeout": 30}
context = ssl.create_default_context(cafile=authority)
with pg8000.native.Connection("user", password="secret", ssl_context=context, **login) as connection:
    connection.run("CREATE TEMPORARY TABLE words (word TEXT)")
    for word in ("one", "two"):
        connection.run("INSERT INTO words VALUES (:word)", word=word)
    print(connection.run("SELECT word FROM words ORDER BY word"))
    print("encrypted:", connection.run("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
