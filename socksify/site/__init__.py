"""The hook for whole environments: the code that it calls in the package, and `socksify site`, which installs it."""
