"""`python -m socksify`."""

from socksify.launch import main

raise SystemExit(main())
