"""python -m socksify.clients.rtelnet"""

from socksify.clients.rtelnet.command import main

raise SystemExit(main())
