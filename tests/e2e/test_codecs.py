"""Chains of codecs from a line of configuration to the round's log line, with real daemons."""
import harness

MODEL = {"model.name": "mlp", "model.layers": None}


class Codecs(harness.Case):
    def federation(self, overrides, name):
        """Three rounds with two clients; the server."""
        server = self.world.server({**MODEL, "federation.rounds": 3, "federation.min_clients": 2, "state_dir": name,
                                    **overrides}, name=name)
        clients = [self.world.client(f"c{i}", server) for i in range(2)]
        self.assertEqual([daemon.exit(90) for daemon in (server, *clients)], [0, 0, 0])
        return server, clients

    def test_one_bit_both_ways(self):
        """Thirty times fewer bytes, told as such, and hardly less accurate."""
        chain = "rotate|uniform:1|range"
        raw, _ = self.federation({}, "raw")
        server, _ = self.federation({"codec.up": chain, "codec.down": chain}, "one-bit")
        for number in (1, 2, 3):
            before, line = raw.wait_round(number), server.wait_round(number)
            self.assert_fields(before, codec_up="f32", codec_down="f32", folded=2)
            self.assert_fields(line, codec_up=chain, codec_down=chain, folded=2)
            for way in ("up", "down"):
                sent, whole = int(line[f"bytes_{way}"]), int(before[f"bytes_{way}"])
                self.assertLess(sent / whole, 1 / 28, way)
                saved = int(line[f"saved_{way}"])
                self.assertAlmostEqual((sent + saved) / whole, 1, delta=0.01, msg=way)
                self.assertLess(int(before[f"saved_{way}"]), 0.01 * whole, way)
        self.assertGreater(float(server.wait_round(3)["accuracy"]), float(raw.wait_round(3)["accuracy"]) - 0.05)

    def test_every_kind_of_chain(self):
        for number, chain in enumerate(("rotate|lloyd:2,unbiased", "topk:5%|q8|range", "ternary:1/50|golomb",
                                        "randk:20%|bf16|zstd", "q4|zstd", "trellis:1.5|range", "qsgd:15", "rotate|sign")):
            with self.subTest(chain=chain):
                server, _ = self.federation({"codec.up": chain, "codec.down": chain}, f"kind-{number}")
                self.assert_fields(server.wait_round(3), codec_up=chain, folded=2, rejected=0, failed=0)

    def test_auto(self):
        """Each client chooses for itself and says why; a tight time budget lowers the rate once the network is known."""
        server, clients = self.federation({"codec.up": "auto", "codec.target_bits": 1.5, "log.level": "debug"}, "auto")
        for client in clients:
            chosen = client.wait("codec_chosen", round=2)
            self.assertRegex(chosen["codec"], r":1\.5\|range$")
            self.assertRegex(chosen["reason"], r"target 1\.5 bits, .*: 1\.5 bits; kurtosis [0-9.]+; least error on a sample")
        offer = server.wait("offer", round=2)
        self.assertRegex(offer["codec"], r":1\.5\|range$")
        self.assertIn("kurtosis", offer["codec_reason"])
        self.assert_fields(server.wait_round(3), codec_up="auto", folded=2)
        _, clients = self.federation({"codec.up": "auto", "codec.target_bits": 8, "codec.target_time": "1ms"}, "hasty")
        self.assertIn("bandwidth not measured yet: 8 bits", clients[0].wait("codec_chosen", round=1)["reason"])
        self.assertRegex(clients[0].wait("codec_chosen", round=2)["reason"], r"Mbit/s allow [0-9.e+]+ bits in 0\.001 s")

    def test_warm_up(self):
        """More is sent at first."""
        server, _ = self.federation({"codec.up": "topk:0.5%|f16", "codec.warmup_rounds": 4, "codec.feedback": "dgc"},
                                    "warm")
        sent = [int(server.wait_round(number)["bytes_up"]) for number in (1, 2, 3)]
        self.assertTrue(sent[0] > 2 * sent[1] > 4 * sent[2], sent)
