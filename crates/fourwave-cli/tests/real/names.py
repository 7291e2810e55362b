"""A name server for the tests: names.py ADDRESS

origin.test has an A and an AAAA record; big.test so many of them that UDP has no room (the answer
is cut, and asked for again by TCP); there is no other name.
"""
import socket
import socketserver
import struct
import sys
import threading

A, AAAA = 1, 28
ZONE = {
    ("origin.test", A): [socket.inet_aton("10.9.0.2")],
    ("origin.test", AAAA): [socket.inet_pton(socket.AF_INET6, "fd99::2")],
    ("big.test", A): [bytes([10, 9, 1, i]) for i in range(1, 201)],
}


def answer(query, room):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    kind, = struct.unpack_from(">H", query, at + 1)
    question, name = query[12:at + 5], ".".join(labels)
    known = any(name == there for there, _ in ZONE)
    records = [struct.pack(">HHHIH", 0xC00C, kind, 1, 1, len(data)) + data
               for data in ZONE.get((name, kind), [])]
    cut = 16 + len(question) + sum(map(len, records)) > room
    flags = 0x8580 | (0x0200 if cut else 0) | (0 if known else 3)
    if cut:
        records = []
    head = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    return head + question + b"".join(records)


class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            query = self.rfile.read(struct.unpack(">H", head)[0])
            reply = answer(query, 65535)
            self.wfile.write(struct.pack(">H", len(reply)) + reply)


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        query, server = self.request
        server.sendto(answer(query, 512), self.client_address)


address = (sys.argv[1], 53)
socketserver.TCPServer.allow_reuse_address = True
stream = socketserver.ThreadingTCPServer(address, Stream)
threading.Thread(target=stream.serve_forever, daemon=True).start()
datagram = socketserver.ThreadingUDPServer(address, Datagram)
print("ready", flush=True)
datagram.serve_forever()
