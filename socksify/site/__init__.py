"""The hook for whole environments: what it runs when `socket` arrives, and `socksify site`, which puts it in place."""
