"""rtelnet, the terminal client of the first SOCKS package, built on telnetlib3."""
