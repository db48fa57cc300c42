"""python -m socksify.clients.rftp"""

from socksify.clients.rftp.cli import main

raise SystemExit(main())
