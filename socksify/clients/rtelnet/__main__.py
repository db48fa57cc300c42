"""python -m socksify.clients.rtelnet"""

from socksify.clients.rtelnet.cli import main

raise SystemExit(main())
