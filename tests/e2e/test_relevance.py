"""The server decides: offers with sketches, what is skipped, what is carried over, and clients that lie."""
import harness
import wire
from hostile import NAME, HostileCase

EXACT = 10**9


class Relevance(harness.Case):
    def federation(self, overrides, clients=4):
        settings = {"federation.min_clients": clients, "federation.rounds": 3, "log.level": "debug"}
        settings.update(overrides)
        server = self.world.server(settings)
        return server, self.world.clients(clients, server, {"data.partition": "shards:1"})

    def ended_well(self, server, clients):
        self.assertEqual([daemon.exit() for daemon in (server, *clients)], [0] * (1 + len(clients)))

    def test_share(self):
        """Half of the offers are let through, once there is something to compare them with."""
        server, clients = self.federation({"relevance.sketch": 256, "relevance.rule": "share", "relevance.share": 0.5})
        first = server.wait_round(1)
        self.assert_fields(first, offered=4, folded=4, skipped=0)
        for number in (2, 3):
            record = server.wait_round(number)
            self.assert_fields(record, offered=4, uploaded=2, folded=2, skipped=2, rejected=0)
            self.assertGreater(float(record["relevance"]), 0)
            self.assertLess(int(record["bytes_up"]), 0.7 * int(first["bytes_up"]))
        self.ended_well(server, clients)
        self.assertEqual(sum(len(client.find("skipped")) for client in clients), 4)
        self.assertRegex(server.find("skipped")[0]["reason"], r"^not relevant enough: relevance 0\.\d+, threshold 0\.\d+$")

    def test_majority(self):
        server, clients = self.federation({"relevance.sketch": EXACT, "relevance.reference": "majority",
                                           "relevance.rule": "share", "relevance.share": 0.25})
        for number in (1, 2, 3):
            self.assert_fields(server.wait_round(number), offered=4, uploaded=1, folded=1, skipped=3)
        self.ended_well(server, clients)

    def test_nobody_passes(self):
        """A round without a relevant update carries the model over, and the next one begins."""
        server, clients = self.federation({"relevance.sketch": 64, "relevance.threshold": 1})
        server.wait_round(1)
        for number in (2, 3):
            record = server.wait("round_carried", round=number)
            self.assert_fields(record, offered=4, uploaded=0, folded=0, skipped=4)
        server.wait("run_finished", reason="all rounds are done")
        self.ended_well(server, clients)

    def test_codecs(self):
        """Sketches agree with what any chain makes of an update, with error feedback and without."""
        for index, chain in enumerate(("q8", "sign", "topk:5%|q8|range", "rotate|uniform:1|range", "ternary:1/50|golomb")):
            server, clients = self.federation({"relevance.sketch": EXACT, "relevance.threshold": 0, "codec.up": chain,
                                               "state_dir": f"state{index}"})
            for number in (1, 2, 3):
                self.assert_fields(server.wait_round(number), folded=4, rejected=0)
            self.ended_well(server, clients)

    def test_selectors(self):
        for index, selector in enumerate(("oort", "power_of_choice", "relevance", "round_robin")):
            server, clients = self.federation({"relevance.sketch": 64, "relevance.rule": "none",
                                               "federation.selector": selector, "federation.clients_per_round": 2,
                                               "federation.over_selection": 1, "state_dir": f"state{index}"})
            for number in (1, 2, 3):
                self.assert_fields(server.wait_round(number), cohort=2, folded=2)
            self.ended_well(server, clients)
            tasks = server.find("task")
            self.assertEqual(sorted(int(task["round"]) for task in tasks), [1, 1, 2, 2, 3, 3])
            for task in tasks:
                self.assertTrue(task["reason"], task)


class Liars(HostileCase):
    settings = {"relevance.sketch": EXACT, "relevance.threshold": 0, "relevance.penalty_rounds": 0}

    def test_sketch_contradicts_upload(self):
        with self.attack(rejected=1) as (node, session, task, model):
            frame = wire.make_frame([0.5] * model.n, model.schema)
            self.assertEqual(task.sketch_positions, model.n)
            decision = self.granted(session, task, frame, sketch=bytes((model.n + 7) // 8))
            self.assertEqual(decision.kind, self.pb.Decision.UPLOAD)
            node.upload(wire.cut(task, frame))
            self.rejected(session, task, f"contradicts the sketch that was offered for it, at {model.n} of {model.n}")
            self.named("contradicts the sketch", "update_rejected")
            self.server.wait("client_lied", 3, since=self.mark, node=NAME)

    def test_offer_for_another_round_hides_nothing(self):
        """Another offer between grant and upload does not make the server forget the sketch."""
        with self.attack(rejected=1) as (node, session, task, model):
            frame = wire.make_frame([0.5] * model.n, model.schema)
            sketch = bytes((model.n + 7) // 8)
            self.assertEqual(self.granted(session, task, frame, sketch=sketch).kind, self.pb.Decision.UPLOAD)
            session.offer(task, frame, round=task.round + 70, sketch=sketch)
            self.assertEqual(session.wait("outcome", round=task.round + 70).kind, self.pb.Outcome.LATE)
            node.upload(wire.cut(task, frame))
            self.rejected(session, task, "contradicts the sketch")

    def test_no_sketch(self):
        with self.attack(rejected=1) as (_, session, task, model):
            session.offer(task, wire.make_frame([0.0] * model.n, model.schema))
            self.rejected(session, task, "sketch has not the length that was asked for")

    def test_honest_by_hand(self):
        """What a client in another language must do: a bit a position, set above 0."""
        with self.attack(folded=3) as (node, session, task, model):
            values = [0.01 if i % 3 == 0 else -0.01 for i in range(model.n)]
            sketch = bytearray((model.n + 7) // 8)
            for i, value in enumerate(values):
                sketch[i // 8] |= (value > 0) << i % 8
            frame = wire.make_frame(values, model.schema)
            self.assertEqual(self.granted(session, task, frame, sketch=bytes(sketch)).kind, self.pb.Decision.UPLOAD)
            node.upload(wire.cut(task, frame))
            self.assertEqual(session.wait("outcome").kind, self.pb.Outcome.FOLDED)
