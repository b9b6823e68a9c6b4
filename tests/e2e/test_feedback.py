"""Error feedback with real daemons: the state outlives a client that is killed, and is what the server expects."""
import harness


class Feedback(harness.Case):
    def rounds(self, chain, kind, more=None):
        """Six rounds; c1 is killed after the third and comes again."""
        server = self.world.server({"codec.up": chain, "codec.feedback": kind, "federation.rounds": 6,
                                    "federation.min_clients": 2, "federation.min_updates": 2, "training.epochs": 2,
                                    **(more or {})})
        stays = self.world.client("c0", server, {"state_dir": "state-c0"})
        old = self.world.client("c1", server, {"state_dir": "state-c1"})
        old.wait("outcome", round=3, outcome="folded")
        old.kill()
        again = self.world.client("c1", server, {"state_dir": "state-c1"})
        self.assertEqual([daemon.exit(60) for daemon in (server, stays, again)], [0, 0, 0])
        self.assertEqual(again.wait("state_found")["kind"], kind)
        for daemon in (stays, old, again):
            self.assertFalse(daemon.find("state_dropped"))
        for name in ("c0", "c1"):
            folder = self.world.dir / f"state-{name}"
            self.assertTrue({path.name for path in folder.glob("feedback*")} <= {"feedback", "feedback.pending"})
        for number in range(1, 7):
            self.assert_fields(server.wait_round(number), folded=2)

    def test_ef_outlives_a_restart(self):
        self.rounds("ternary:5%", "ef")

    def test_dgc_outlives_a_restart(self):
        self.rounds("topk:5%|f16", "dgc", {"codec.feedback_momentum": 0.5})

    def test_ef21_outlives_a_restart(self):
        self.rounds("topk:10%|f16", "ef21", {"strategy.name": "ef21"})
