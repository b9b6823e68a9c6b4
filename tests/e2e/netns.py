"""A federation of machines on this one: a network namespace for the server and one for each client, a veth pair between
them, and the faults that this kernel has for it. Only root may, and nothing outside the namespaces is touched."""
import functools
import itertools
import os
import re
import shutil
import subprocess

numbers = itertools.count(1)
TBF_BURST = 4096


class Failed(Exception):
    """A command that did not work, with what it said."""


def command(*arguments):
    done = subprocess.run(list(map(str, arguments)), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, arguments))}: {done.stderr.strip() or done.returncode}")
    return done.stdout


@functools.lru_cache(maxsize=None)
def why_not(qdisc="tbf", options="rate 1mbit burst 4096 limit 100000"):
    """Why there can be no namespaces here, or no such faults on their links; None when there can."""
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"there is no {program} program: apt-get install iproute2"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    space = f"tributary-e2e-{os.getpid()}-probe"
    try:
        command("ip", "netns", "add", space)
        command("ip", "netns", "exec", space, "true")
        command("ip", "-n", space, "link", "add", "one", "type", "veth", "peer", "name", "two")
        command("tc", "-n", space, "qdisc", "replace", "dev", "one", "root", qdisc, *options.split())
    except Failed as failed:
        return f"not on this machine: {failed}"
    finally:
        subprocess.run(["ip", "netns", "del", space], stdin=subprocess.DEVNULL, capture_output=True)
    return None


class Net:
    """The server's namespace is 10.77.I.1 for client I, whose own address ends in 2."""

    def __init__(self, n):
        name = f"tributary-e2e-{os.getpid()}-{next(numbers)}"
        self.server = f"{name}-server"
        self.clients = [f"{name}-c{i}" for i in range(n)]
        self.made = []
        try:
            for space in (self.server, *self.clients):
                command("ip", "netns", "add", space)
                self.made.append(space)
                command("ip", "-n", space, "link", "set", "lo", "up")
            for i, space in enumerate(self.clients):
                self._connect(i, space)
        except Failed:
            self.close()
            raise

    def _connect(self, i, space):
        command("ip", "-n", self.server, "link", "add", f"to-c{i}", "type", "veth", "peer", "name", "uplink", "netns", space)
        for where, link, last in ((self.server, f"to-c{i}", 1), (space, "uplink", 2)):
            command("ip", "-n", where, "address", "add", f"10.77.{i}.{last}/24", "dev", link)
            command("ip", "-n", where, "link", "set", link, "up")

    def ends(self, i):
        return ((self.server, f"to-c{i}"), (self.clients[i], "uplink"))

    def address(self, i):
        """Where client i finds the server."""
        return f"10.77.{i}.1"

    def inside(self, space):
        """What runs a command in a namespace."""
        return ("ip", "netns", "exec", space)

    # -- faults, of client i's link --

    def qdisc(self, i, kind, options):
        """A queue discipline at both ends, as tc spells it."""
        for space, link in self.ends(i):
            command("tc", "-n", space, "qdisc", "replace", "dev", link, "root", kind, *options.split())

    def narrow(self, i, bits_per_second, queue):
        """So much goes through each way, and what finds `queue` bytes waiting is lost."""
        self.qdisc(i, "tbf", f"rate {bits_per_second} burst {TBF_BURST} limit {queue}")

    def lost(self, i):
        """Packets that were dropped at both ends."""
        shown = "".join(command("tc", "-s", "-n", space, "qdisc", "show", "dev", link) for space, link in self.ends(i))
        return sum(map(int, re.findall(r"dropped (\d+)", shown)))

    def down(self, i):
        """The link at the server's end: what is sent is lost without a word."""
        command("ip", "-n", self.server, "link", "set", f"to-c{i}", "down")

    def up(self, i):
        command("ip", "-n", self.server, "link", "set", f"to-c{i}", "up")

    def close(self):
        for space in self.made:
            subprocess.run(["ip", "netns", "del", space], stdin=subprocess.DEVNULL, capture_output=True)
        self.made = []
