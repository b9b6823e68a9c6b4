"""Bad company, each kind once and in small: the others' rounds go on, the log says whose doing it was, and the server takes
no harm. tests/bench/rpc/bench_load.c does the same in large."""
import re
import socket
import ssl
import time

import grpc

import harness
import wire
from hostile import LIMIT, NAME

TIMEOUT = grpc.StatusCode.DEADLINE_EXCEEDED
RSS_MARGIN_KB = 100 << 10
HELLO_MS, IDLE_MS, PAUSE_MS, STRANGERS, CALLS = 1500, 1000, 2000, 20, 5


def ms(n):
    return f"{n * harness.run.factor:.0f}ms"


class Abuse(harness.SharedCase):
    """Two honest clients go round and round; mallory has a certificate and no part in it."""

    @classmethod
    def open(cls):
        cls.pb = wire.federation_pb2()
        cls.server = cls.world.server({
            "federation.min_clients": 2, "federation.rounds": 1000000, "selection.tags": ["honest"],
            "training.epochs": 2, "evaluation.every": 1000, "limits.hello": ms(HELLO_MS), "limits.idle_call": ms(IDLE_MS),
            "limits.pause": ms(PAUSE_MS), "limits.strangers": STRANGERS, "limits.calls": CALLS})
        cls.clients = cls.world.clients(2, cls.server, {"tags": ["honest"]})
        cls.server.wait("round_committed", count=3)
        cls.rss = cls.server.rss_kb()

    def setUp(self):
        self.mark = self.server.mark()
        self.sockets = []

    def tearDown(self):
        for connection in self.sockets:
            connection.close()
        after = self.server.mark()
        self.server.wait("round_committed", since=after, count=3, folded=2)
        self.assertTrue(all(daemon.alive() for daemon in (self.server, *self.clients)))
        self.assertLess(self.server.rss_kb(), self.rss + RSS_MARGIN_KB * harness.run.factor)

    def goes_on(self):
        self.server.wait("round_committed", since=self.server.mark(), count=2, folded=2)

    def named(self, event, pattern):
        return self.server.wait(event, 10, since=self.mark, node=NAME, reason=re.compile(pattern))

    # -- connections --

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=10 * harness.run.factor)
        self.sockets.append(connection)
        return connection

    def tls(self, certificate=True):
        context = ssl.create_default_context(cafile=str(harness.run.pki.certificate))
        context.set_alpn_protocols(["h2"])
        if certificate:
            identity = harness.run.pki.node(NAME)
            context.load_cert_chain(str(identity.certificate), str(identity.key))
        connection = context.wrap_socket(self.connect(), server_hostname="localhost")
        self.sockets.append(connection)
        return connection

    def wait_closed(self, connection):
        """The server hangs up, be it with a goodbye or a reset."""
        try:
            while connection.recv(65536):
                pass
        except (ConnectionResetError, ssl.SSLError):
            pass

    def test_storm(self):
        """Handshakes, every other one given up in its middle."""
        for i in range(40):
            if i % 2:
                self.tls().close()
            else:
                outgoing = ssl.MemoryBIO()
                context = ssl.create_default_context(cafile=str(harness.run.pki.certificate))
                half = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
                with self.assertRaises(ssl.SSLWantReadError):
                    half.do_handshake()
                connection = self.connect()
                connection.sendall(outgoing.read()[:100])
                connection.close()

    def test_loris(self):
        """Connections that hardly say a word: no more than STRANGERS of an address, and none of them for long."""
        connections = []
        for _ in range(STRANGERS + 15):
            try:
                connections.append(self.connect())
            except ConnectionResetError:
                pass  # refused before connect() came back
        for connection in connections:
            try:
                connection.send(b"\x16")
            except (ConnectionResetError, BrokenPipeError):
                pass
        refused = self.server.wait("connection_refused", since=self.mark, reason=re.compile(r"limits\.strangers"))
        self.assertEqual(refused["address"], "127.0.0.1")
        self.goes_on()
        for connection in connections:
            self.wait_closed(connection)

    def test_half_a_preface(self):
        connection = self.tls()
        connection.sendall(b"PRI * HTTP/2.0\r\n")
        self.wait_closed(connection)

    def test_connection_without_calls(self):
        connection = self.tls()
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        self.wait_closed(connection)

    def test_no_certificate(self):
        for _ in range(10):
            self.wait_closed(self.tls(certificate=False))
        self.server.wait("handshake_failed", since=self.mark, reason=re.compile("peer did not return a certificate"))

    # -- calls and messages --

    def come_back(self):
        """Refused with the time to wait, and welcome after it."""
        with wire.Node(NAME, self.server.port) as node:
            session = node.session()
            session.hello()
            end = session.wait_end()
            self.assertEqual(end.code, LIMIT, end.details)
            self.assertRegex(end.details, r"come back in \d+ s")
        until = time.monotonic() + 30 * harness.run.factor
        while time.monotonic() < until:
            with wire.Node(NAME, self.server.port) as node:
                session = node.session()
                session.hello()
                try:
                    session.wait("welcome")
                except wire.Ended as ended:
                    self.assertEqual(ended.code, LIMIT, ended.details)
                    self.goes_on()  # takes a while
                    continue
                session.leave()
                return
        self.fail("the pause does not end")

    def flood(self, **message):
        with wire.Node(NAME, self.server.port) as node:
            session = node.join()
            packed = self.pb.ClientMessage(**message).SerializeToString()
            while session.end is None:
                for _ in range(1000):
                    session.send_raw(packed)
                self.server.changed.acquire()
                self.server.changed.wait(0.05)
                self.server.changed.release()
            self.assertEqual(session.end.code, LIMIT, session.end.details)
            self.assertRegex(session.end.details, "messages come faster than they can be taken")
        self.named("session_refused", "messages come faster than they can be taken")

    def test_flood(self):
        self.flood(progress=self.pb.Progress(round=1, phase="train"))
        self.come_back()

    def test_replay(self):
        """The same offer again and again."""
        blob = self.pb.Blob(sha256=bytes(32), len=1000)
        self.flood(offer=self.pb.Offer(round=1, examples=100, loss=0.5, norm=1.0, update=blob))
        self.come_back()

    def test_many_calls(self):
        health = wire.health_pb2()
        with wire.Node(NAME, self.server.port) as node:
            watch = node.channel.unary_stream("/grpc.health.v1.Health/Watch", health.HealthCheckRequest.SerializeToString,
                                              health.HealthCheckResponse.FromString)
            calls = [watch(health.HealthCheckRequest()) for _ in range(CALLS)]
            for call in calls:
                next(call)
            code, details, _ = wire.outcome_of(lambda: next(watch(health.HealthCheckRequest())))
            self.assertEqual(code, LIMIT, details)
            self.assertRegex(details, f"{CALLS} calls open, as many as it may")
            self.named("call_refused", "calls open, as many as it may")
            for call in calls:
                call.cancel()

    def test_silent_session(self):
        with wire.Node(NAME, self.server.port) as node:
            session = node.session()
            end = session.wait_end()
            self.assertEqual(end.code, TIMEOUT, end.details)
            self.assertRegex(end.details, "nothing moved on this call for too long")
        self.named("session_silent", "said no Hello in time")

    def test_oversize(self):
        with wire.Node(NAME, self.server.port) as node:
            session = node.join()
            session.send_raw(bytes(64 << 20))
            end = session.wait_end()
            self.assertEqual(end.code, LIMIT, end.details)

    def test_upload_that_stops(self):
        """The first chunk's head comes and nothing more."""
        with wire.Node(NAME, self.server.port) as node:
            code, _, _ = wire.outcome_of(lambda: node.upload(endless()))
            self.assertEqual(code, TIMEOUT)
        self.named("upload_idle", "does not move")


def endless():
    """An iterator that yields nothing and does not end."""
    import threading

    threading.Event().wait(60)
    yield b""


class SlowReader(harness.Case):
    def test_download_that_is_not_read(self):
        """It is ended, so that nobody can hold on to a model for ever."""
        server = self.world.server({
            "limits.idle_call": ms(500), "federation.idle_timeout": "60s", "limits.send_queue": "1MiB",
            "model.layers": [{"layer": "flatten"}, {"layer": "linear", "units": 40000},
                             {"layer": "linear", "units": 4}], "evaluation.path": None})
        pb = wire.federation_pb2()
        with wire.Node(NAME, server.port) as node:
            session = node.join()
            task = session.wait("task")
            method = node.channel.unary_stream(wire.SERVICE + "Download", pb.DownloadRequest.SerializeToString,
                                               pb.Chunk.FromString)
            download = method(pb.DownloadRequest(sha256=task.model.sha256))
            server.wait("download_idle", node=NAME, reason=re.compile("does not read what it downloads"))
            code, details, _ = wire.outcome_of(lambda: list(download))
            self.assertEqual(code, TIMEOUT, details)
            self.assertIsNone(session.end)
            session.leave()
