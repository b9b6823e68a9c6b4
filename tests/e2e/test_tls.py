"""Certificates and identities: who is let in, and what those who are not can read."""
import os
import re
import socket

import grpc

import fixtures
import harness
import wire


def foreign():
    """A CA that nobody here trusts."""
    if not hasattr(harness.run, "foreign"):
        harness.run.foreign = fixtures.Authority(harness.run.dir / "foreign", "foreign")
    return harness.run.foreign


class Files(harness.Case):
    """Faults that a daemon finds in its own files, before it talks to anyone."""

    def both(self, pattern, **files):
        """Each daemon ends at once with a message about its tls files."""
        for kind in ("server", "client"):
            with self.subTest(kind=kind):
                changes = {f"tls.{key}": value(kind) for key, value in files.items()}
                if kind == "server":
                    daemon = self.world.server(changes, serving=False, name=f"server-{len(self.world.daemons)}")
                else:
                    daemon = self.world.client("c0", 1, changes)
                self.assertNotEqual(daemon.exit(), 0)
                reason = daemon.find("failed", level="error")[-1]["reason"]
                self.assertRegex(reason, pattern)
                self.assertTrue(reason.startswith("tls: "), reason)

    def own(self, kind):
        return harness.run.pki.server() if kind == "server" else harness.run.pki.node("c0")

    def test_missing(self):
        self.both("nowhere.pem: .*No such file or directory", certificate=lambda kind: self.world.dir / "nowhere.pem")

    def test_not_pem(self):
        path = self.world.dir / "text.pem"
        path.write_text("hello\n")
        self.both("text.pem: no certificate in PEM form", ca=lambda kind: path)
        self.both("text.pem: no private key in PEM form", key=lambda kind: path)

    def test_key_of_another(self):
        self.both("c1.key: this key does not belong to the certificate .*(server|c0).pem",
                  key=lambda kind: harness.run.pki.node("c1").key)

    def test_key_readable_by_others(self):
        def loose(kind):
            path = self.world.dir / f"{kind}.key"
            path.write_bytes(self.own(kind).key.read_bytes())
            path.chmod(0o644)
            return path

        self.both(r"\.key: a private key that others can use \(mode 0644\); run: chmod 600 .*\.key", key=loose)

    def test_foreign_ca(self):
        self.both("(server|c0).pem: the certificate is not signed by the CA in .*foreign/ca.pem",
                  ca=lambda kind: foreign().certificate)

    def test_wrong_purpose(self):
        def other(part):
            return lambda kind: getattr(self.own("client" if kind == "server" else "server"), part)

        self.both("this certificate is not meant for a (server|client)", certificate=other("certificate"),
                  key=other("key"))

    def test_expired(self):
        identity = harness.run.pki.expired("c5")
        self.both("expired-c5.pem: the certificate expired on 2020-02-01", certificate=lambda kind: identity.certificate,
                  key=lambda kind: identity.key)

    def test_node_is_not_the_certificate(self):
        client = self.world.client("c0", 1, {"node": "c1"})
        self.assertEqual(client.exit(), 78)
        self.assertRegex(client.find("failed")[-1]["reason"],
                         'c0.yaml:\\d+: node: "c1" is not the identity in tls.certificate, which is "c0"')


class Strangers(harness.SharedCase):
    """A server that waits for two honest clients, while others try to get in."""

    @classmethod
    def open(cls):
        cls.server = cls.world.server({"federation.min_clients": 2, "net.keepalive": "0s"})

    @classmethod
    def tearDownClass(cls):
        """After all of them, the federation runs as if nothing had been."""
        clients = cls.world.clients(2, cls.server)
        try:
            record = cls.server.wait_round(1)
            if (record["cohort"], record["folded"]) != ("2", "2"):
                raise harness.Unmet(f"the honest round: {record}")
            if [daemon.exit() for daemon in (cls.server, *clients)] != [0, 0, 0]:
                raise harness.Unmet("not all ended well")
        finally:
            super().tearDownClass()

    def refused(self, node, reason):
        """The call fails as unavailable, and the server's log has why."""
        mark = self.server.mark()
        with node:
            code, details, _ = wire.outcome_of(lambda: check(node))
        self.assertEqual(code, grpc.StatusCode.UNAVAILABLE, details)
        if reason:
            record = self.server.wait("handshake_failed", since=mark, level="warn")
            self.assertRegex(record["reason"] + " " + record["hint"], reason)
        self.assertEqual(self.server.find("client_joined"), [])

    def test_foreign_client(self):
        self.refused(wire.Node("c0", self.server.port, identity=foreign().node("c0")),
                     "not signed by this node's CA")

    def test_expired_client(self):
        self.refused(wire.Node("c5", self.server.port, identity=harness.run.pki.expired("c5")), "out of its dates")

    def test_no_certificate(self):
        self.refused(wire.Node("c0", self.server.port, identity="none"), "the client has no certificate")

    def test_plain_text_grpc(self):
        self.refused(wire.Node("c0", self.server.port, plain=True), "does not speak TLS")

    def test_raw_garbage(self):
        for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 4096, os.urandom(4096), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            mark = self.server.mark()
            with socket.create_connection(("127.0.0.1", self.server.port), 20) as connection:
                connection.settimeout(20 * harness.run.factor)
                connection.sendall(garbage)
                try:
                    while connection.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
            self.server.wait("handshake_failed", since=mark)

    def test_server_as_client(self):
        """A server's certificate opens no door for a client."""
        self.refused(wire.Node("server", self.server.port, identity=harness.run.pki.server()), "")

    def test_lying_hello(self):
        mark = self.server.mark()
        with wire.Node("c7", self.server.port) as node:
            session = node.session()
            session.hello(node="c0")
            end = session.wait_end()
        self.assertEqual(end.code, grpc.StatusCode.PERMISSION_DENIED)
        self.assertEqual(end.details, 'node "c0" is not what the certificate says ("c7")')
        record = self.server.wait("session_refused", since=mark, node="c7", level="warn")
        self.assertEqual(record["reason"], end.details)
        self.assertRegex(record["address"], r"127\.0\.0\.1:\d+")

    def client_is_wary(self, overrides, pattern):
        """A client that does not trust this server says so and goes on trying."""
        client = self.world.client("c0", self.server, overrides)
        record = client.wait("disconnected", level="warn", reason=re.compile(pattern))
        self.assertGreater(float(record["retry_seconds"]), 0)
        client.wait("disconnected", count=2)
        self.assertEqual(client.stop(), 0)
        self.assertEqual(self.server.find("client_joined"), [])

    def test_foreign_server(self):
        identity = foreign().node("c0")
        self.client_is_wary({"tls.ca": foreign().certificate, "tls.certificate": identity.certificate,
                             "tls.key": identity.key}, "certificate verify failed")

    def test_server_name_mismatch(self):
        self.client_is_wary({"server.name": "fl.example.org"}, "fl.example.org")


class Names(harness.Case):
    def test_server_name_given(self):
        """server.name is what the certificate must carry, whatever the address."""
        identity = harness.run.pki.server("renamed", "DNS:fl.example.org")
        server = self.world.server({"tls.certificate": identity.certificate, "tls.key": identity.key})
        client = self.world.client("c0", server, {"server.name": "fl.example.org", "node": "c0"})
        self.assertEqual((client.exit(), server.exit()), (0, 0))

    def test_odd_identity(self):
        """An identity that could forge log lines or paths is none."""
        odd = harness.run.pki.issue("odd", "URI:tributary://node/..%2Fx%0Ay z", "clientAuth")
        server = self.world.server()
        with wire.Node("odd", server.port, identity=odd) as node:
            session = node.session()
            session.hello(node="../x\ny z")
            self.assertIn(session.wait_end().code, (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED,
                                                    grpc.StatusCode.INVALID_ARGUMENT))
        self.assertEqual(server.find("client_joined"), [])


def check(node):
    """The health service's plain answer to a node."""
    pb = wire.health_pb2()
    return node.unary("/grpc.health.v1.Health/Check", pb.HealthCheckRequest(), pb.HealthCheckResponse)
