"""Clients behind a bad network: slow lines, broken and dead connections, partitions; the model is that of a calm run."""
import os
import random
import time

import harness
import netns
import proxy
import test_resume

CLIENTS = test_resume.CLIENTS
CUTS = int(os.environ.get("TRIB_CUTS", "25"))
ROUNDS = max(8, CUTS // 3)  # so many last longer than the faults
# Its transfers take a moment on the lines below: 69,636 parameters, 279 KB.
WIDE = {"model.layers": [{"layer": "flatten"}, {"layer": "linear", "units": 1024}, {"layer": "relu"},
                         {"layer": "linear", "units": 4}], "training.max_steps": 4,
        "limits.calls": 1000}  # those on connections that the server does not know to be dead add up
SMALL = 100 << 10  # bytes; more of them than a session takes, fewer than a transfer
LINE = 4 << 20  # bytes in a second
calm = {}  # what the runs without any trouble end with, by their rounds and settings


class Base(test_resume.Base):
    settings = WIDE

    def expected(self):
        what = f"{self.rounds} {self.settings}"
        if what not in calm:
            calm[what] = self.undisturbed()
        return calm[what]

    def begin(self, name, rate=LINE):
        """A server, and clients behind a line each."""
        server = self.start_server(name)
        lines = []
        for _ in range(CLIENTS):
            lines.append(proxy.Proxy(server.port))
            lines[-1].rate(rate)
            self.world.closers.append(lines[-1].close)
        return server, lines, [self.start_client(name, i, line.port) for i, line in enumerate(lines)]

    def end(self, server, clients):
        """The run's end, with the bits of the calm one."""
        expected = self.expected()
        self.assertEqual(server.exit(60), 0)
        for client in clients:  # one that has lost its connection just then waits for the next run
            client.kill()
        self.assertEqual(test_resume.weights(server.state / "models/latest.safetensors"), expected)

    def draw(self, what):
        seed = int(os.environ.get("TRIB_SEED", time.time_ns() % 1000000))
        print(f"seed {seed}, {what}", flush=True)
        return random.Random(seed)

    def pause(self, draw, seconds):
        """Any moment will do: this waits for nothing."""
        time.sleep(draw.uniform(0, seconds) * min(harness.run.factor, 3))

    def cut_at_random(self):
        """Broken again and again at any moment: in a handshake, in a session, in a transfer, while training."""
        self.rounds = ROUNDS
        draw = self.draw(f"{CUTS} cuts")
        server, lines, clients = self.begin("torn")
        for _ in range(CUTS):
            self.pause(draw, 0.15)
            for line in draw.sample(lines, draw.randint(1, CLIENTS)):
                line.cut(draw.choice(proxy.WAYS))
        print(f"cut: {[line.cuts for line in lines]} of {[line.connections for line in lines]} connections, "
              f"in {len(server.find('round_committed'))} of {ROUNDS} rounds", flush=True)
        self.end(server, clients)


class Lines(Base):
    def test_slow(self):
        """30 ms each way and 500 KB a second: slower, and no different."""
        self.rounds = 3
        server, lines, clients = self.begin("slow", 500000)
        for line in lines:
            line.delay(0.03)
        self.end(server, clients)
        self.assertEqual([line.connections for line in lines], [1] * CLIENTS)

    def test_cut_in_each_transfer(self):
        """Broken in a download and in an upload of every client: each goes on where it was, and is counted once."""
        self.rounds = 2
        server, lines, clients = self.begin("cut")
        for i, line in enumerate(lines):
            how = proxy.FIN if i == 0 else proxy.RST
            line.cut_at(proxy.DOWN, SMALL, how)
            line.cut_at(proxy.UP, SMALL, how)
        for client in clients:
            client.wait("disconnected", level="warn", count=2)
        server.wait_round(2)
        for number in (1, 2):
            self.assert_fields(server.wait_round(number), folded=CLIENTS, late=0, failed=0, rejected=0)
        self.assertEqual([line.cuts for line in lines], [2] * CLIENTS)
        self.end(server, clients)

    def test_cut_at_random(self):
        self.cut_at_random()

    def test_cut_and_killed_at_random(self):
        """Daemons die on the way, too."""
        self.rounds = ROUNDS
        draw = self.draw(f"{CUTS} faults")
        server, lines, clients = self.begin("stormy")
        done = {"cut": 0, "server killed": 0, "client killed": 0}
        for _ in range(CUTS):
            self.pause(draw, 0.15)
            if not server.alive():
                break  # the run is over
            fault = draw.choice(("cut", "cut", "server killed", "client killed"))
            i = draw.randrange(CLIENTS)
            done[fault] += 1
            if fault == "cut":
                lines[i].cut(draw.choice(proxy.WAYS))
            elif fault == "server killed":
                server.kill()
                server = self.start_server("stormy", lines[0].target[1])
            elif clients[i].alive():
                clients[i].kill()
                clients[i] = self.start_client("stormy", i, lines[i].port)
        print(f"done: {done}", flush=True)
        self.end(server, clients)


class Compressed(Base):
    """With error feedback at the clients, and deltas with feedback of the server's own."""
    settings = {**WIDE, **test_resume.Compressed.settings}

    def test_cut_at_random_with_feedback(self):
        self.cut_at_random()


class Differences(Base):
    """With a strategy that remembers every client."""
    settings = {**WIDE, **test_resume.Differences.settings}

    def test_cut_at_random_with_ef21(self):
        self.cut_at_random()


class Partitions(Base):
    rounds = 3

    def test_one_away(self):
        """A client that cannot reach the server in the middle of a round is waited for, and comes back by itself."""
        server, lines, clients = self.begin("parted")
        clients[0].wait("task", round=2)
        lines[0].refuse()
        lines[0].cut()
        server.wait("client_left", node="c0")
        for client in clients[1:]:
            client.wait("uploaded", round=2)
        clients[0].wait("disconnected", count=3)
        self.assertEqual(server.find("round_committed", round=2), [])
        lines[0].accept()
        self.assert_fields(server.wait_round(2), folded=CLIENTS, late=0)
        self.end(server, clients)

    def test_everybody_away(self):
        """And when nobody reaches it: the round stays open."""
        server, lines, clients = self.begin("alone")
        clients[0].wait("downloaded", round=2)
        for line in lines:
            line.refuse()
            line.cut(proxy.FIN)
        for i in range(CLIENTS):
            server.wait("client_left", node=f"c{i}")
        self.assertTrue(server.alive())
        for line in lines:
            line.accept()
        self.end(server, clients)


class Stalls(Base):
    rounds = 3

    def test_short(self):
        """A line that hangs in a download, and then in an upload, and goes on: nobody notices."""
        server, lines, clients = self.begin("hung")
        for direction in (proxy.DOWN, proxy.UP):
            line = lines[0]
            line.stall_at(direction, SMALL)
            self.assertTrue(line.wait(direction, SMALL, 20))
            for client in clients[1:]:
                client.wait("uploaded", round=1)
            line.flow()
        self.end(server, clients)
        self.assertEqual(lines[0].connections, 1)

    def test_longer_than_keepalive(self):
        """A line that is dead without a word: both ends find out by themselves, and meet again on a new one."""
        self.settings = {**WIDE, "net.keepalive": "5s"}
        server, lines, clients = self.begin("dead")
        clients[0].wait("task", round=2)
        lines[0].stall()
        server.wait("client_left", 25, node="c0")
        clients[0].wait("disconnected", 25)
        lines[0].flow()
        self.assert_fields(server.wait_round(2), folded=CLIENTS, late=0)
        self.end(server, clients)

    def start_client(self, name, i, port):
        """As in the others, but with the shortest keepalive that there is."""
        settings = {**test_resume.RECONNECT, "state_dir": f"{name}-c{i}", "net.keepalive": "5s"}
        return self.world.client(f"c{i}", port, settings)


class Namespaces(Base):
    """The same through the kernel's own TCP: machines with links between them."""
    rounds = 3

    def setUp(self):
        reason = netns.why_not()
        if reason:
            self.skipTest(reason)
        super().setUp()

    def start_net(self, name):
        """The server and the clients, each where nobody hears of it but through its links."""
        self.expected()
        self.net = netns.Net(CLIENTS)
        self.addCleanup(self.net.close)
        self.world.inside[f"server-{name}"] = self.net.inside(self.net.server)
        for i, space in enumerate(self.net.clients):
            self.world.inside[f"c{i}"] = self.net.inside(space)
        server = self.start_server(name, listen="0.0.0.0:0")
        return server, [self.start_client(name, i, server.port) for i in range(CLIENTS)]

    def start_client(self, name, i, port):
        settings = {**test_resume.RECONNECT, "state_dir": f"{name}-c{i}"}
        if f"c{i}" in self.world.inside:
            settings.update({"server.address": f"{self.net.address(i)}:{port}", "server.name": "localhost"})
        return self.world.client(f"c{i}", port, settings)

    def test_narrow_links(self):
        """8 Mbit/s and room for five packets: TCP finds its pace by losing some."""
        server, clients = self.start_net("narrow")
        for i in range(CLIENTS):
            self.net.narrow(i, 8000000, 8000)
        self.end(server, clients)
        lost = [self.net.lost(i) for i in range(CLIENTS)]
        print(f"lost: {lost} packets", flush=True)
        self.assertGreater(min(lost), 0)

    def test_long_lossy_links(self):
        """20 ms each way, and 1 % of all packets lost at random."""
        reason = netns.why_not("netem", "delay 1ms loss 1%")
        if reason:
            self.skipTest(reason)
        server, clients = self.start_net("lossy")
        for i in range(CLIENTS):
            self.net.qdisc(i, "netem", "delay 20ms 5ms loss 1%")
        self.end(server, clients)

    def test_links_down(self):
        """Links go down at random moments and come up again, and daemons are killed the while."""
        self.rounds = ROUNDS
        draw = self.draw("links down")
        server, clients = self.start_net("down")
        for i in range(CLIENTS):
            self.net.narrow(i, 30000000, 60000)
        done = {"down": 0, "server killed": 0, "client killed": 0}
        for _ in range(12):
            self.pause(draw, 0.2)
            if not server.alive():
                break  # the run is over
            fault = draw.choice(("down", "down", "server killed", "client killed"))
            done[fault] += 1
            i = draw.randrange(CLIENTS)
            if fault == "down":
                self.net.down(i)
                self.pause(draw, 0.4)  # that long
                self.net.up(i)
            elif fault == "server killed":
                server.kill()
                server = self.start_server("down", listen=f"0.0.0.0:{server.port}")
            elif clients[i].alive():
                clients[i].kill()
                clients[i] = self.start_client("down", i, server.port)
        print(f"done: {done}", flush=True)
        self.end(server, clients)

    def test_unplugged(self):
        """A cable is pulled in a round, for longer than keepalive allows: the round waits, and the client comes back."""
        self.settings = {**WIDE, "net.keepalive": "5s"}
        server, clients = self.start_net("unplugged")
        clients[0].wait("task", round=2)
        self.net.down(0)
        server.wait("client_left", 25, node="c0")
        self.assertEqual(server.find("round_committed", round=2), [])
        self.net.up(0)
        self.assert_fields(server.wait_round(2), folded=CLIENTS, late=0)
        self.end(server, clients)
