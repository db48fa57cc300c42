"""connect(2) of TCP sockets: the routes, the dials, and the sockets that wait meanwhile."""
