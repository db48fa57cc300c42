"""UDP sockets from which nothing can leave, and what the supervisor answers to their calls."""
