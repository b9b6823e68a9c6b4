"""The compressed broadcast with real daemons: whoever follows, restarts or comes late has the server's bits."""
import signal

import fixtures
import harness

FLOATS = 64 * 16 + 16 + 16 * 4 + 4
NOTE = 80  # bytes behind the frame in a client's model.frame


def held_vector(folder):
    """The floats' bytes in a client's held model: a raw frame of one block, its CRC, a note."""
    content = (folder / "model.frame").read_bytes()[:-NOTE]
    return content[-4 - 4 * FLOATS:-4]


class Downlink(harness.Case):
    def client_at(self, node):
        return self.world.client(node, self.port, {"state_dir": f"state-{node}"})

    def follow(self, chain, late):
        """Four rounds: c0 stays, c1 starts anew in the middle of the second, c2 comes then."""
        server = self.world.server({"codec.down": chain, "federation.rounds": 4, "federation.min_clients": 2,
                                    "training.epochs": 300, "log.level": "debug"})
        self.port = server.port
        stays, old = self.client_at("c0"), self.client_at("c1")
        old.wait("downloaded", round=2)
        stays.wait("downloaded", round=2)
        stays.signal(signal.SIGSTOP)  # so that the second round does not end
        self.assertEqual(old.stop(), 0)
        again, new = self.client_at("c1"), self.client_at("c2")
        again.wait("registered")
        new.wait("registered")
        stays.signal(signal.SIGCONT)
        clients = (stays, again, new)
        self.assertEqual([daemon.exit(60) for daemon in (server, *clients)], [0, 0, 0, 0])
        self.assert_fields(stays.wait("downloaded", round=1), kind="initialised", blobs=0, bytes=0)
        for number in (2, 3, 4):
            self.assert_fields(stays.wait("downloaded", round=number), kind="chain", blobs=1)
        for number in (3, 4):
            self.assert_fields(again.wait("downloaded", round=number), kind="chain", blobs=1)
        self.assert_fields(new.wait("downloaded", round=3), **late)
        for client in clients:
            self.assertEqual(client.find(("deltas_unusable", "model_not_saved", "held_model_dropped")), [])
        self.check_bits()
        return int(server.wait_round(4)["bytes_down"]) / (3 * 4 * FLOATS)

    def check_bits(self):
        """Before the fourth round everyone held the third version, which the server has on disk."""
        checkpoint = fixtures.read_safetensors(self.world.dir / "state" / "models" / "round-000003.safetensors")
        for node in ("c0", "c1", "c2"):
            self.assertEqual(held_vector(self.world.dir / f"state-{node}"), fixtures.all_bytes(checkpoint), node)

    def test_f16(self):
        share = self.follow("f16", {"kind": "whole", "blobs": 1})  # two halves are no shorter than the whole
        self.assertTrue(0.5 < share < 0.6, f"{share:.3f} of whole models")

    def test_sign(self):
        share = self.follow("sign", {"kind": "initialised", "blobs": 2})
        self.assertLess(share, 0.15, "of whole models")  # 1/32 but for the heads, which are much in so small a model

    def test_another_run(self):
        """What was held of another run is dropped, with a line that says so."""
        overrides = {"codec.down": "sign", "federation.rounds": 2}
        first = self.world.server(overrides, name="first")
        self.port = first.port
        client = self.client_at("c0")
        self.assertEqual((first.exit(), client.exit()), (0, 0))
        run = first.wait_round(1)["run"]
        second = self.world.server({**overrides, "federation.seed": 2, "state_dir": "second"}, name="second")
        self.port = second.port
        client = self.client_at("c0")
        self.assertEqual((second.exit(), client.exit()), (0, 0))
        client.wait("held_model_dropped", run=run, reason="the run changed")
        client.wait("downloaded", round=1, kind="initialised")
        client.wait("downloaded", round=2, kind="chain")

    def test_damaged_file(self):
        """A held model that is not what it says costs a whole download, never a wrong model."""
        server = self.world.server({"codec.down": "sign", "federation.rounds": 4, "federation.min_clients": 2,
                                    "training.epochs": 300})
        self.port = server.port
        stays, old = self.client_at("c0"), self.client_at("c1")
        old.wait("downloaded", round=2)
        stays.wait("downloaded", round=2)
        stays.signal(signal.SIGSTOP)
        self.assertEqual(old.stop(), 0)
        path = self.world.dir / "state-c1" / "model.frame"
        content = bytearray(path.read_bytes())
        content[1000] ^= 1
        path.write_bytes(content)
        again = self.client_at("c1")
        again.wait("registered")
        stays.signal(signal.SIGCONT)
        self.assertEqual([daemon.exit(60) for daemon in (server, stays, again)], [0, 0, 0])
        again.wait("held_model_dropped", reason="its SHA-256 is not the one that it states")
        again.wait("deltas_unusable")
        again.wait("downloaded", kind="whole")
        again.wait("downloaded", round=4, kind="chain")
