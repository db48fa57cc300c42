"""pymysql: a table made, filled and read, over TLS; the server ends the connection, and ping() makes another."""

import sys

import pymysql

host, port, authority = sys.argv[1:]
login = {"host": host, "port": int(port), "user": "user", "password": "secret", "connect_timeout": 30}
connection = pymysql.connect(**login, database="test", ssl={"ca": authority}, autocommit=True)
with connection.cursor() as cursor:
    cursor.execute("CREATE TEMPORARY TABLE words (word VARCHAR(20))")
    cursor.executemany("INSERT INTO words VALUES (%s)", ["one", "two"])
    cursor.execute("SELECT word FROM words ORDER BY word")
    print(cursor.fetchall())
    cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
    print("encrypted:", cursor.fetchone()[1] != "")
try:
    connection.kill(connection.thread_id())
except pymysql.err.MySQLError:
    pass
connection.ping(reconnect=True)
print(connection.open)
connection.close()
