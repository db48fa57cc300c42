"""The seal: the kernel holds a whole process tree to the proxy, whatever its programs are made of.

The patches end where Python's `socket` ends. The seal begins at the system call: a seccomp filter stops the tree's
calls that lead to a network, and a supervisor process answers them. It uses the same settings, router, handshake and
errors as the patches. It needs no compiler and no privilege.
"""
