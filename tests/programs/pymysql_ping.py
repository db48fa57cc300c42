"""pymysql: connects, logs in, pings."""

import sys

import pymysql

connection = pymysql.connect(host=sys.argv[1], port=int(sys.argv[2]), user="user", password="secret", connect_timeout=30)
connection.ping(reconnect=False)
print(connection.get_server_info())
connection.close()
