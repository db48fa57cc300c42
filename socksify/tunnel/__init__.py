# A hook that waits for it installs now, while none of the modules that it needs is half imported. As a statement, it
# would be a lazy import where a program asks for them all (PEP 810).
__import__("socket")
