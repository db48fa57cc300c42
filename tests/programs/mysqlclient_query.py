"""mysqlclient, which is libmariadb: a query."""

import sys

import MySQLdb

login = {"user": "user", "password": "secret", "connect_timeout": 10}
connection = MySQLdb.connect(host=sys.argv[1], port=int(sys.argv[2]), **login)
with connection.cursor() as cursor:
    cursor.execute("SELECT 6 * 7")
    print(cursor.fetchall())
connection.close()
