"""python -m socksify.clients.rftp"""

from socksify.clients.rftp.command import main

raise SystemExit(main())
