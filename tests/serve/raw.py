"""Connections on which every byte is chosen."""

import socket
import time

import httpx


def connect(url: str) -> socket.socket:
    parsed = httpx.URL(url)
    connection = socket.create_connection((parsed.host, parsed.port))
    connection.settimeout(10)
    return connection


def head(path: str, length: int, more: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{more}\r\n".encode()


def one_answer(connection: socket.socket) -> bytes:
    """One answer that is a JSON object."""
    received = b""
    while not received.endswith(b"}"):
        received += connection.recv(65536)
    return received


def rest(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    received = b""
    while True:
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            return received
        if not piece:
            return received
        received += piece


def until_closed(connection: socket.socket) -> tuple[float, bytes]:
    """How many seconds that took, and what came."""
    started_s = time.perf_counter()
    received = rest(connection)
    return time.perf_counter() - started_s, received
