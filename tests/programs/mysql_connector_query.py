"""mysql-connector-python without its C part: a query."""

import sys

import mysql.connector

login = {"user": "user", "password": "secret", "database": "test", "use_pure": True}
with mysql.connector.connect(host=sys.argv[1], port=int(sys.argv[2]), **login) as connection:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 6 * 7")
        print(cursor.fetchall())
