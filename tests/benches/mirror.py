"""A Debian mirror on loopback that fetches what it lacks, until it is told to stop.

usage: mirror.py DIRECTORY PORTFILE NAME=URL...
Serves http://127.0.0.1:PORT/NAME/... from DIRECTORY/NAME. While DIRECTORY/frozen does not exist,
files that are missing are fetched from URL and kept; afterwards they are missing. Whatever was
fetched once is never asked for again, so every build of a bench sees the same archive.
"""

import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

directory, portfile = sys.argv[1:3]
upstreams = dict(word.split("=", 1) for word in sys.argv[3:])


def fetch(name, rest, path):
    """Fetches one file; it gets its name when it is complete."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    url = upstreams[name].rstrip("/") + "/" + rest
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as new:
        try:
            with urllib.request.urlopen(url, timeout=300) as answer:
                shutil.copyfileobj(answer, new)
        except BaseException:
            os.unlink(new.name)
            raise
    os.replace(new.name, path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def absent(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(self.path.split("?")[0]).lstrip("/")
        name, _, rest = path.partition("/")
        if name not in upstreams or ".." in rest.split("/"):
            return self.absent(404)
        file = os.path.join(directory, path)
        if not os.path.isfile(file):
            if os.path.exists(os.path.join(directory, "frozen")):
                return self.absent(404)
            try:
                fetch(name, rest, file)
            except urllib.error.HTTPError as error:
                return self.absent(404 if error.code == 404 else 502)
            except OSError as error:
                print(f"{path}: {error}", file=sys.stderr)
                return self.absent(502)
        with open(file, "rb") as content:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(content.fileno()).st_size))
            self.send_header("Content-Type", "application/octet-stream")
            self.end_headers()
            if self.command == "GET":
                self.wfile.flush()
                self.connection.sendfile(content)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        """Clients may hang up."""


server = Server(("127.0.0.1", 0), Handler)
with open(portfile + ".new", "w") as out:
    out.write(str(server.server_port))
os.replace(portfile + ".new", portfile)
server.serve_forever()
