"""rtelnet, the terminal client of the first SOCKS package, over telnetlib3."""
