"""One end of a TCP connection, told what to do step by step; says what became of each step.

    peer.py call HOST PORT STEP…     connects and does the steps
    peer.py serve PORT STEP…         does the steps with each caller in turn

The steps' outcomes are printed in one line for each connection, and an error ends them. What
depends on timing (how much was written before an error) is not printed: two runs can be compared.
"""
import ctypes
import errno
import fcntl
import hashlib
import os
import select
import signal
import socket
import struct
import sys
import termios
import time

SIOCOUTQ = termios.TIOCOUTQ
TCP_REPAIR = 19
TCP_USER_TIMEOUT = 18
SO_ATTACH_FILTER = 26


def pattern(start, size):
    """Bytes that depend on their place in the stream, so that none can be lost or swapped."""
    first = start // 4
    words = struct.pack(f">{size // 4 + 2}I", *range(first, first + size // 4 + 2))
    return words[start % 4:start % 4 + size]


def until(done):
    deadline = time.monotonic() + 50
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIME, "not within 50 s")
        time.sleep(0.002)


class Peer:
    def __init__(self, connection):
        self.connection = connection
        self.sent = 0

    def queued(self, request):
        return struct.unpack("i", fcntl.ioctl(self.connection, request, bytes(4)))[0]

    def send(self, size):
        """Sends so many bytes of the pattern."""
        end = self.sent + int(size)
        while self.sent < end:
            chunk = pattern(self.sent, min(65536, end - self.sent))
            self.connection.sendall(chunk)
            self.sent += len(chunk)

    def flood(self, _):
        """Sends until it fails."""
        while True:
            self.connection.sendall(bytes(1024))
            time.sleep(0.001)

    def read(self, size):
        """Reads so many bytes, or to the end."""
        left, count, digest = float("inf") if size == "end" else int(size), 0, hashlib.sha256()
        problem = ""
        while left > count:
            try:
                data = self.connection.recv(int(min(65536, left - count)))
            except OSError as error:
                problem = " " + errno.errorcode[error.errno]
                break
            if not data:
                problem = " end"
                break
            count += len(data)
            digest.update(data)
        return f"{count} {digest.hexdigest()[:8]}{problem}"

    def ask(self, times):
        """Sends requests of two pieces each and waits for each answer of two bytes."""
        for _ in range(int(times)):
            self.connection.sendall(b"ab")
            self.connection.sendall(b"c")
            self.exactly(2)

    def answer(self, times):
        """Waits for requests of three bytes and answers each in two pieces, both at once."""
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(int(times)):
            self.exactly(3)
            self.connection.sendall(b"d")
            self.connection.sendall(b"e")

    def exactly(self, size):
        while size > 0:
            data = self.connection.recv(size)
            if not data:
                raise OSError(errno.EPIPE, "the end came early")
            size -= len(data)

    def skim(self, _):
        """Reads to an end, and says which one only."""
        return self.read("end").split()[2]

    def shut(self, _):
        self.connection.shutdown(socket.SHUT_WR)

    def close(self, _):
        self.connection.close()

    def abort(self, _):
        """Closes with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def vanish(self, _):
        """Forgets the connection without a word, as a machine that lost its power."""
        self.connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        self.connection.close()

    def dead(self, _):
        """From now on its kernel hears nothing and says nothing, as a machine out of reach."""
        nothing = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))
        program = struct.pack("=HxxxxxxQ", 1, ctypes.addressof(nothing))
        self.connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        # The connection outlives this object.
        os.dup(self.connection.fileno())

    def keepalive(self, times):
        idle, interval, probes = map(int, times.split(","))
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)

    def limit(self, millis):
        """The longest that data may stay without an ACK."""
        self.connection.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, int(millis))

    def linger2(self, seconds):
        """How long the kernel keeps it, half-closed, when the program is gone."""
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, int(seconds))

    def acked(self, _):
        """Waits until the other kernel has all that was sent."""
        until(lambda: self.queued(SIOCOUTQ) == 0)

    def unread(self, size):
        """Waits until so many bytes lie unread."""
        until(lambda: self.queued(termios.FIONREAD) >= int(size or 1))

    def broken(self, _):
        """Waits until the connection is broken, without reading."""
        poll = select.poll()
        poll.register(self.connection, 0)
        until(lambda: poll.poll(100))

    def wait(self, seconds):
        time.sleep(float(seconds))

    def kill(self, _):
        print("kill", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def run(peer, steps):
    told = []
    for step in steps:
        name, _, argument = step.partition(":")
        try:
            result = getattr(peer, name)(argument)
        except OSError as error:
            told.append(f"{name} {errno.errorcode[error.errno]}")
            break
        if result:
            told.append(f"{name} {result}")
    return "; ".join(told) or "done"


def call(host, port, steps):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    # One SYN and one more: a silent destination costs seconds, not minutes.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    try:
        connection.connect((host, int(port)))
    except OSError as error:
        print(f"connect {errno.errorcode[error.errno]}")
        return 3
    print(run(Peer(connection), steps))
    return 0


def serve(port, steps):
    with socket.create_server(("::", int(port)), family=socket.AF_INET6,
                              dualstack_ipv6=True) as listener:
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                outcome = run(Peer(connection), steps)
            print(outcome, flush=True)


if sys.argv[1] == "call":
    sys.exit(call(sys.argv[2], sys.argv[3], sys.argv[4:]))
serve(sys.argv[2], sys.argv[3:])
