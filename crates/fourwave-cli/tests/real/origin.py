"""An HTTP/1.1 origin: origin.py PORT DIRECTORY

GET of a file below DIRECTORY; PUT answers with the body's SHA-256; below /git/ git's own CGI;
/last/… is a file after which the server closes first.
"""
import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import urllib.parse

ROOT = sys.argv[2]


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            data = self.rfile.read(min(left, 1 << 18))
            if not data:
                raise EOFError("the body is cut short")
            left -= len(data)
            yield data

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path.startswith("/git/"):
            return self.git(url)
        path = url.path
        if path.startswith("/last/"):
            self.close_connection = True
            path = path.removeprefix("/last")
        with open(ROOT + path, "rb") as file:
            self.send_response(200)
            if self.close_connection:
                # The end is the body's only end: a client cannot know it before and close first.
                self.send_header("Connection", "close")
            else:
                self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile, 1 << 18)

    def do_PUT(self):
        digest = hashlib.sha256()
        for data in self.body():
            digest.update(data)
        self.answer(digest.hexdigest().encode() + b"\n")

    def do_POST(self):
        self.git(urllib.parse.urlsplit(self.path))

    def git(self, url):
        environment = os.environ | {
            "GIT_PROJECT_ROOT": ROOT,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": url.path.removeprefix("/git"),
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": self.client_address[0],
        }
        cgi = subprocess.run(["git", "http-backend"], input=b"".join(self.body()),
                             stdout=subprocess.PIPE, env=environment, check=True)
        head, _, body = cgi.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200 OK").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


server = Server(("::", int(sys.argv[1])), Origin)
print("ready", flush=True)
server.serve_forever()
