"""A process for a suite: answers over HTTP, or misbehaves as its arguments say.

    python local_program.py PORT [crash | deaf | mute | slow | child]

`crash` dies with a word in the log, `deaf` ignores SIGTERM, `mute` never answers, `slow` works
for 6 s of processor time before it does, and `child` starts a process that would outlive it.
"""

import http.server
import os
import signal
import subprocess
import sys
import time


def main(port: int, manner: str) -> None:
    print(f"starting as {os.environ.get('GREETING', 'nobody')}", flush=True)
    if manner == "crash":
        sys.exit("the cellar is flooded")
    if manner == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if manner == "child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if manner == "mute":
        time.sleep(600)
    while manner == "slow" and time.process_time() < 6:
        pass
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
