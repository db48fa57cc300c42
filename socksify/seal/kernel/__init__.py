"""Linux from below: the filter, Landlock, notifications, and the memory and sockets of other processes."""
