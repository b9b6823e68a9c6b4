"""A client written from the .proto files and the frame's layout alone does a round by hand."""
import random

import grpc

import fixtures
import harness
import wire


def latest(world, state):
    return fixtures.read_safetensors(world.dir / state / "models" / "latest.safetensors")


class PythonClient(harness.Case):
    def c_client_alone(self):
        """What c0 adds to the initial model by itself: the run's seed and its data decide it, not the company."""
        server = self.world.server({"state_dir": "alone", "federation.rounds": 1}, name="alone")
        client = self.world.client("c0", server)
        self.assertEqual((server.exit(), client.exit()), (0, 0))
        return fixtures.floats(fixtures.all_bytes(latest(self.world, "alone")))

    def check_graph(self, task):
        """The task's plan is a Graph whose variables are the model."""
        graph = wire.model_pb2().Graph.FromString(task.graph)
        self.assertEqual(wire.sha256(task.graph), task.plan_sha256)
        variables = [item.variable for item in graph.items if item.WhichOneof("kind") == "variable"]
        self.assertEqual([(variable.name, list(variable.shape.dims)) for variable in variables],
                         [("linear1.weight", [16, 64]), ("linear1.bias", [16]), ("linear3.weight", [4, 16]),
                          ("linear3.bias", [4])])
        self.assertEqual([item.node.op for item in graph.items if item.WhichOneof("kind") == "node"].count("matmul"), 2)
        inputs = [item.input for item in graph.items if item.WhichOneof("kind") == "input"]
        self.assertEqual(list(inputs[0].shape.dims), [-1, 8, 8, 1])
        values = 0
        for item in graph.items:  # values are numbered in order; a batch norm would define more than one
            self.assertTrue(all(number < values for number in item.node.inputs))
            values += 1
        self.assertTrue(graph.outputs and all(output.value < values for output in graph.outputs))
        return sum(prod(variable.shape.dims) for variable in variables)

    def check_task(self, task, run):
        self.assertEqual((task.run, task.round, task.model_version, task.codec), (run, 1, 0, "f32"))
        self.assertEqual((task.recipe.loss, task.recipe.optimizer, task.recipe.epochs, task.recipe.batch_size),
                         ("cross_entropy", "sgd", 1, 16))
        self.assertAlmostEqual(task.recipe.learning_rate, 0.1, places=6)
        self.assertEqual(task.deadline_seconds, 60)

    def test_one_round_by_hand(self):
        alone = self.c_client_alone()
        server = self.world.server({"federation.min_clients": 2, "federation.rounds": 2})
        with wire.Node("p1", server.port) as node:
            session = node.join(examples=600)
            self.assertEqual((session.welcome.protocol, session.welcome.chunk_bytes), (1, wire.CHUNK))
            self.assertTrue(1 <= session.welcome.progress_seconds <= 20)
            self.assertRegex(session.welcome.software, r"^tributary-server \d")
            client = self.world.client("c0", server)
            task = session.wait("task")
            self.check_task(task, session.welcome.run)
            n = self.check_graph(task)
            model = wire.Frame(node.fetch(task.model))
            self.assertEqual((model.kind, model.n), (wire.MODEL, n))
            session.send(progress=wire.federation_pb2().Progress(round=1, phase="train"))
            delta = [random.Random(7).uniform(-0.1, 0.1) for _ in range(n)]
            frame = wire.make_frame(delta, model.schema)
            session.offer(task, frame, examples=600, loss=0.75, accuracy=0.5, train_seconds=0.01)
            decision = session.wait("decision")
            self.assertEqual((decision.round, decision.kind, decision.offset),
                             (1, wire.federation_pb2().Decision.UPLOAD, 0))
            receipt = node.upload(wire.cut(task, frame, size=1000))
            self.assertEqual((receipt.accepted, receipt.received), (True, len(frame)))
            outcome = session.wait("outcome")
            self.assertEqual((outcome.round, outcome.kind), (1, wire.federation_pb2().Outcome.FOLDED))
            client.wait("outcome", round=1, outcome="folded")
            self.assert_fields(server.wait_round(1), cohort=2, offered=2, uploaded=2, folded=2, rejected=0, late=0)
            self.check_average(node, session, model, delta, alone)
        self.assertEqual((server.exit(), client.exit()), (0, 0))

    def check_average(self, node, session, before, delta, alone):
        """model + (200 * c0's update + 600 * ours) / 800, in the next round's task and in the checkpoint."""
        task = session.wait("task")
        self.assertEqual((task.round, task.model_version), (2, 1))
        self.assertEqual(task.graph, b"", "the same plan is not sent twice on a session")
        after = wire.Frame(node.fetch(task.model))
        checkpoint = fixtures.read_safetensors(self.world.dir / "state" / "models" / "round-000001.safetensors")
        self.assertEqual(fixtures.floats(fixtures.all_bytes(checkpoint)), after.values)
        self.assertEqual(checkpoint.metadata["schema"], after.schema.hex())
        worst = 0.0
        for was, single, ours, now in zip(before.values, alone, delta, after.values):
            worst = max(worst, abs(was + (200 * (single - was) + 600 * ours) / 800 - now))
        self.assertLess(worst, 1e-6)
        session.leave()

    def test_resumed_upload(self):
        """An upload that breaks goes on from where it stood."""
        server = self.world.server({"federation.min_clients": 1})
        with wire.Node("p1", server.port) as node:
            session = node.join()
            task = session.wait("task")
            model = wire.Frame(node.fetch(task.model))
            frame = wire.make_frame([0.01] * model.n, model.schema)
            session.offer(task, frame)
            session.wait("decision")
            chunks = wire.cut(task, frame, size=1000)
            with self.assertRaises(grpc.RpcError):
                node.upload(break_after(node, chunks[:2]), timeout=10)
            server.wait("upload_broken", node="p1")
            session.offer(task, frame)
            decision = session.wait("decision")
            self.assertIn(decision.offset, (1000, 2000))
            self.assertTrue(node.upload(wire.cut(task, frame, 1000, decision.offset)).accepted)
            self.assertEqual(session.wait("outcome").kind, wire.federation_pb2().Outcome.FOLDED)
            self.assertTrue(session.wait("goodbye").final)
        self.assertEqual(server.exit(), 0)

    def test_download_from_offset(self):
        server = self.world.server({"model.name": "mlp", "model.layers": None, "model.example": [32, 32, 1],
                                    "evaluation.path": None, "training.epochs": 1})
        with wire.Node("p1", server.port) as node:
            session = node.join()
            task = session.wait("task")
            whole = node.fetch(task.model)
            chunks = node.download(task.model.sha256, offset=len(whole) - 5)
            self.assertEqual([(chunk.offset, chunk.payload, chunk.last) for chunk in chunks],
                             [(len(whole) - 5, whole[-5:], True)])
            self.assertEqual(chunks[0].crc32c, wire.crc32c(whole[-5:]))

    def test_large_model_in_chunks(self):
        """A model of more than one chunk, down and up."""
        server = self.world.server({"model.layers": [{"layer": "linear", "units": 300}, {"layer": "linear", "units": 4}],
                                    "model.example": [1024], "evaluation.path": None})
        with wire.Node("p1", server.port) as node:
            session = node.join()
            task = session.wait("task")
            self.assertGreater(task.model.len, wire.CHUNK)
            model = wire.Frame(node.fetch(task.model))
            frame = wire.make_frame([0.5] * model.n, model.schema)
            session.offer(task, frame)
            session.wait("decision")
            self.assertTrue(node.upload(wire.cut(task, frame), timeout=60).accepted)
            self.assertEqual(session.wait("outcome").kind, wire.federation_pb2().Outcome.FOLDED)
            session.wait("goodbye")
        self.assertEqual(server.exit(), 0)
        after = fixtures.floats(fixtures.all_bytes(latest(self.world, "state")))
        self.assertLess(max(abs(now - was - 0.5) for was, now in zip(model.values, after)), 1e-6)

    def test_health(self):
        server = self.world.server({"federation.min_clients": 1})
        pb = wire.health_pb2()
        path = "/grpc.health.v1.Health/"
        serving = pb.HealthCheckResponse.SERVING
        with wire.Node("p1", server.port) as node:
            for service in ("", "tributary.v1.Federation"):
                answer = node.unary(path + "Check", pb.HealthCheckRequest(service=service), pb.HealthCheckResponse)
                self.assertEqual(answer.status, serving)
            code, details, _ = wire.outcome_of(lambda: node.unary(
                path + "Check", pb.HealthCheckRequest(service="nowhere"), pb.HealthCheckResponse))
            self.assertEqual((code, details), (grpc.StatusCode.NOT_FOUND, 'no service "nowhere" here'))
            watch = node.channel.unary_stream(path + "Watch", pb.HealthCheckRequest.SerializeToString,
                                              pb.HealthCheckResponse.FromString)(pb.HealthCheckRequest())
            self.assertEqual(next(watch).status, serving)
            self.assertEqual(server.stop(5), 0, "an open watch does not hold up the end")
            with self.assertRaises(grpc.RpcError):
                next(watch)

    def test_codec_not_offered(self):
        """A client that lacks the run's codec is told which, and not to come back soon."""
        server = self.world.server({"federation.min_clients": 2, "codec.up": "f16"})
        with wire.Node("p1", server.port) as node:
            session = node.session()
            session.hello(codecs=["f32", "q8"])
            goodbye = session.wait("goodbye")
            self.assertEqual((goodbye.final, goodbye.retry_seconds), (False, 300))
            self.assertRegex(goodbye.reason, 'codec "f16", which this client lacks; it has f32 q8')
            self.assertEqual(session.wait_end().code, grpc.StatusCode.OK)
        self.assertEqual(server.wait("client_refused", node="p1", level="warn")["reason"], goodbye.reason)
        clients = self.world.clients(2, server)
        self.assert_fields(server.wait_round(1), cohort=2, folded=2)
        self.assertEqual([daemon.exit() for daemon in (server, *clients)], [0, 0, 0])

    def test_too_many_clients(self):
        server = self.world.server({"max_clients": 1})
        with wire.joined("p1", server.port), wire.Node("p2", server.port) as node:
            session = node.session()
            session.hello()
            goodbye = session.wait("goodbye")
            self.assertEqual((goodbye.reason, goodbye.final, goodbye.retry_seconds),
                             ("the server serves as many clients as it may", False, 60))


def prod(numbers):
    result = 1
    for number in numbers:
        result *= number
    return result


def break_after(node, chunks):
    """An upload's chunks, and then a failure of the sender, which resets the stream. A round trip on the same connection
    before that lets the chunks arrive."""
    yield from chunks
    pb = wire.health_pb2()
    node.unary("/grpc.health.v1.Health/Check", pb.HealthCheckRequest(), pb.HealthCheckResponse)
    raise RuntimeError("the sender broke")
