"""The three processes of a seal: the launcher, the supervisor and the program."""
