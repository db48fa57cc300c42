# The hook waits for `socket`. With this import it installs now, while none of the modules that it needs is half
# imported. An import statement could become a lazy import, if the program asks for lazy imports (PEP 810).
__import__("socket")
