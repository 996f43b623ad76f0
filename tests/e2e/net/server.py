#!/usr/bin/env python3
"""The host's side of the network test: a small HTTP server and, on request, a DNS server.

usage: server.py PORT LOG [DNS-ADDRESS]
GET /N gives N bytes of a fixed sequence. PUT takes bytes and appends "put N SHA256" to LOG. GET /bye
appends "bye". The DNS server answers every question for an A record with 192.0.2.7.
"""
import hashlib
import socket
import struct
import sys
import threading

BLOCK = b"".join(hashlib.sha256(struct.pack("<I", i)).digest() for i in range(8192))


def sequence(nr: int):
    while nr > 0:
        yield BLOCK[:nr]
        nr -= len(BLOCK)


def digest(nr: int) -> str:
    h = hashlib.sha256()
    for part in sequence(nr):
        h.update(part)
    return h.hexdigest()


def body(stream, headers):
    """The bytes of a request, by length or in chunks."""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(stream.readline(), 16):
            left = size
            while left:
                part = stream.read(min(left, 1 << 18))
                if not part:
                    return
                left -= len(part)
                yield part
            stream.readline()
        stream.readline()
        return
    left = int(headers.get("content-length", 0))
    while left and (part := stream.read(min(left, 1 << 18))):
        left -= len(part)
        yield part


def serve(conn, log):
    with conn, conn.makefile("rb") as stream:
        words = stream.readline().decode().split()
        if len(words) < 2:
            return
        headers = {}
        while (line := stream.readline().decode().strip()):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip().lower()
        if headers.get("expect"):
            conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if words[0] == "PUT":
            h, nr = hashlib.sha256(), 0
            for part in body(stream, headers):
                h.update(part)
                nr += len(part)
            note(log, f"put {nr} {h.hexdigest()}")
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif words[1] == "/bye":
            note(log, "bye")
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            nr = int(words[1][1:])
            conn.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {nr}\r\nConnection: close\r\n\r\n".encode())
            for part in sequence(nr):
                conn.sendall(part)


def note(log, line):
    with open(log, "a") as f:
        f.write(line + "\n")


def answer_names(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 53))
    while True:
        q, peer = s.recvfrom(512)
        at = 12
        while q[at]:
            at += q[at] + 1
        question = q[12:at + 5]
        is_a = question[-4:-2] == b"\0\1"
        head = q[:2] + struct.pack(">HHHHH", 0x8180, 1, is_a, 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 7])
        s.sendto(head + question + (record if is_a else b""), peer)


def main():
    if sys.argv[1] == "--digest":
        print(digest(int(sys.argv[2])))
        return
    port, log = int(sys.argv[1]), sys.argv[2]
    if len(sys.argv) > 3:
        threading.Thread(target=answer_names, args=(sys.argv[3],), daemon=True).start()
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", port))
    listener.listen(16)
    note(log, "ready")
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve, args=(conn, log), daemon=True).start()


main()
