"""ldap3: binds, after StartTLS with the certificate checked, adds an entry, searches, deletes it."""

import ssl
import sys

import ldap3

host, port, authority = sys.argv[1:]
tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=authority)
server = ldap3.Server(host, int(port), tls=tls, get_info=ldap3.ALL, connect_timeout=30)
login = "cn=admin,dc=example", "secret"
with ldap3.Connection(server, *login, auto_bind=ldap3.AUTO_BIND_TLS_BEFORE_BIND) as connection:
    print(server.info.naming_contexts)
    connection.add("cn=one,dc=example", "person", {"sn": "One"})
    connection.search("dc=example", "(sn=One)", attributes=["sn"])
    print([entry.entry_dn for entry in connection.entries])
    print(connection.delete("cn=one,dc=example"), connection.extend.standard.who_am_i())
