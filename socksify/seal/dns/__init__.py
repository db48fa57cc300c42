"""Answers to the DNS queries of sealed programs.

The queries of every resolver of the tree reach a socket of the supervisor, which answers for the name servers.
"""
