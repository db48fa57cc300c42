"""psycopg2, which is libpq: a query."""

import sys

try:
    import psycopg2
except ImportError as error:
    print("refused:", type(error).__name__)
else:
    login = f"user=user password=secret dbname=test connect_timeout=10 host={sys.argv[1]} port={sys.argv[2]}"
    with psycopg2.connect(login) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 6 * 7")
        print(cursor.fetchall())
