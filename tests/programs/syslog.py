"""logging's SysLogHandler: a line over UDP."""

import logging.handlers
import sys


class Handler(logging.handlers.SysLogHandler):
    def handleError(self, record):
        raise


try:
    Handler((sys.argv[1], int(sys.argv[2]))).handle(logging.makeLogRecord({"msg": "hello"}))
    print("sent")
except OSError as error:
    print("refused:", type(error).__name__)
