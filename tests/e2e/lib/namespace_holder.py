"""Runs inside a namespace: sets it up, then makes sockets there for the test process (SCM_RIGHTS)."""

import array
import errno
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
NETLINK_ROUTE, RTM_NEWROUTE, NLM_F_REQUEST_ACK_CREATE = 0, 24, 0x405
RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL, RTA_DST, RTA_OIF = 255, 3, 254, 2, 1, 4
IPV6_FREEBIND = 78


def bring_lo_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        flags = struct.unpack("16sh", fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16sh", b"lo", 0)))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


def route_to_self(network, prefix):
    """`ip route add local NETWORK/PREFIX dev lo`: the addresses answer here without being this machine's own."""
    def attribute(kind, data):
        return struct.pack("HH", 4 + len(data), kind) + data

    family = socket.AF_INET6 if ":" in network else socket.AF_INET
    body = struct.pack("BBBBBBBBI", family, prefix, 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL, 0)
    body += attribute(RTA_DST, socket.inet_pton(family, network)) + attribute(RTA_OIF, struct.pack("I", socket.if_nametoindex("lo")))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as s:
        s.sendto(struct.pack("IHHII", 16 + len(body), RTM_NEWROUTE, NLM_F_REQUEST_ACK_CREATE, 1, 0) + body, (0, 0))
        error = struct.unpack_from("i", s.recv(4096), 16)[0]
    if error and -error != errno.EEXIST:  # another test's, of the same network
        raise OSError(-error, f"route to {network}: {os.strerror(-error)}")


def make(question):
    """A socket as the question says: listening, bound, or connected."""
    family = socket.AF_INET6 if ":" in question["address"] else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM if question.get("udp") else socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)  # a local route alone does not let it bind
    if question.get("nowait"):
        s.setblocking(False)
        s.connect_ex((question["address"], question["port"]))
        return s
    if question["op"] == "connect":
        s.connect((question["address"], question["port"]))
        return s
    s.bind((question["address"], question["port"]))
    if not question.get("udp"):
        s.listen(question.get("backlog", 256))
    return s


def main():
    control = socket.socket(fileno=int(sys.argv[1]))
    setup = json.loads(sys.argv[2])
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    for source, target in setup["binds"]:
        subprocess.run(["mount", "--bind", source, target], check=True)
    bring_lo_up()
    for network, prefix in setup["routes"]:
        route_to_self(network, prefix)
    control.send(b"ready")
    while True:
        question = control.recv(4096)
        if not question:
            return
        try:
            question = json.loads(question)
            if question["op"] == "route":
                route_to_self(question["network"], question["prefix"])
                question = {"op": "bind", "address": "127.0.0.1", "port": 0}
            with make(question) as s:
                control.sendmsg([b"ok"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
        except OSError as e:
            control.send(f"{e}".encode())


main()
