"""Connections that end in every way that two programs can make them: `ends.py serve`, then
`ends.py visit ADDRESS`. One port for each way."""

import socket
import struct
import sys
import threading
import time

LINGER = struct.pack("ii", 1, 0)


def drain(sock):
    got = 0
    while True:
        data = sock.recv(65536)
        if not data:
            return got
        got += len(data)


def client_first(sock):
    drain(sock)


def server_first(sock):
    sock.sendall(b"x" * 3000)


def half_close(sock):
    # Answers when the question is over: the client has closed its direction by then.
    drain(sock)
    for _ in range(3):
        sock.sendall(b"y" * 2000)
        time.sleep(0.05)


def abort(sock):
    sock.recv(10)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)


def unread(sock):
    sock.recv(10)
    time.sleep(0.2)


def slow(sock):
    # The window closes, opens and closes.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(4):
        time.sleep(0.15)
        sock.recv(20000)
    drain(sock)


def mirror(sock):
    while data := sock.recv(4096):
        sock.sendall(data)


def silent(sock):
    time.sleep(0.4)


WAYS = [client_first, server_first, half_close, abort, unread, slow, mirror, silent]
PORT = 7000


def serve():
    def accept(listener, way):
        while True:
            sock, _ = listener.accept()
            def one(sock=sock):
                try:
                    way(sock)
                except OSError:
                    pass
                sock.close()
            threading.Thread(target=one, daemon=True).start()

    for index, way in enumerate(WAYS):
        listener = socket.create_server(("", PORT + index), backlog=64)
        if way is slow:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        threading.Thread(target=accept, args=(listener, way), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


def ask(address, way):
    sock = socket.create_connection((address, PORT + WAYS.index(way)), timeout=60)
    try:
        if way is client_first:
            sock.sendall(b"q" * 5000)
        elif way is server_first:
            drain(sock)
        elif way is half_close:
            sock.sendall(b"q" * 5000)
            sock.shutdown(socket.SHUT_WR)
            drain(sock)
        elif way is abort:
            sock.sendall(b"q" * 10)
            drain(sock)
        elif way is unread:
            sock.sendall(b"q" * 40000)
            drain(sock)
        elif way is slow:
            sock.sendall(b"q" * 300000)
        elif way is mirror:
            for size in (1, 100, 4000, 1):
                sock.sendall(b"m" * size)
                got = 0
                while got < size:
                    got += len(sock.recv(4096))
        elif way is silent:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
            drain(sock)
    except ConnectionError:
        pass
    sock.close()


def visit(address, times):
    threads = []
    for _ in range(times):
        for way in WAYS:
            threads.append(threading.Thread(target=ask, args=(address, way)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for port in (1, 2, 3):  # Nothing listens there.
        try:
            socket.create_connection((address, port), timeout=60)
        except ConnectionError:
            pass


if sys.argv[1] == "serve":
    serve()
else:
    visit(sys.argv[2], int(sys.argv[3]))
