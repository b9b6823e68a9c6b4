"""Datasets that cannot be used, at a client and at the server, and what the others do meanwhile."""
import fixtures
import harness


class ClientData(harness.Case):
    def refused(self, overrides, code, pattern):
        """A client with such data ends by itself; its last words tell why."""
        server = self.world.server({"federation.min_clients": 2})
        bad = self.world.client("c3", server, overrides)
        self.assertEqual(bad.exit(), code, bad.text())
        self.assertRegex(bad.find("failed")[-1]["reason"], pattern)
        honest = self.world.clients(2, server)
        self.assert_fields(server.wait_round(1), cohort=2, folded=2)
        for daemon in (server, *honest):
            self.assertEqual(daemon.exit(), 0)

    def copy(self):
        images, labels = fixtures.make_blobs(40, 3)
        return fixtures.write_images(self.world.dir / "data", "train", images, labels)

    def test_missing_dataset(self):
        self.refused({"data.path": "/nowhere"}, 66, "c3.yaml:\\d+: data.path: .*/nowhere: No such file or directory")

    def test_missing_part(self):
        folder = self.copy()
        (folder / "train-labels-idx1-ubyte").unlink()
        self.refused({"data.path": folder}, 66, "data: holds no train-labels-idx1-ubyte")

    def test_truncated_dataset(self):
        images = self.copy() / "train-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:1000])
        self.refused({"data.path": images.parent}, 65,
                     "train-images-idx3-ubyte: truncated: header promises 40 x 8 x 8 bytes, file holds 984 bytes")

    def test_not_a_dataset(self):
        images = self.copy() / "train-images-idx3-ubyte"
        images.write_bytes(b"<html>404</html>" * 100)
        self.refused({"data.path": images.parent}, 65, "train-images-idx3-ubyte: not an IDX file")

    def test_label_out_of_range(self):
        labels = self.copy() / "train-labels-idx1-ubyte"
        content = bytearray(labels.read_bytes())
        content[8 + 17] = 9
        labels.write_bytes(content)
        self.refused({"data.path": labels.parent, "data.classes": fixtures.CLASSES}, 65,
                     r"train-labels-idx1-ubyte: label 9 of example 17 is outside 0\.\.3")

    def test_unequal_parts(self):
        labels = self.copy() / "train-labels-idx1-ubyte"
        labels.write_bytes(fixtures.idx(8, (39,), bytes(39)))
        self.refused({"data.path": labels.parent}, 65, "39 labels.*40 examples|40 examples.*39 labels")


class Misfits(harness.Case):
    """Sound data that do not fit the server's model: the client says so, the others go on."""

    def misfit(self, overrides, pattern, server_overrides=None):
        settings = {"federation.min_clients": 3, "federation.rounds": 2}
        settings.update(server_overrides or {})
        server = self.world.server(settings)
        honest = self.world.clients(2, server)
        odd = self.world.client("c3", server, overrides)
        for number in (1, 2):
            self.assertRegex(odd.wait("failed", round=number)["reason"], pattern)
            self.assertRegex(server.wait("client_failed", node="c3", round=number)["reason"], pattern)
            self.assert_fields(server.wait_round(number), cohort=3, folded=2, failed=1, late=0)
        for daemon in (server, odd, *honest):
            self.assertEqual(daemon.exit(), 0)

    def test_shape_mismatch(self):
        folder = fixtures.blobs(harness.run.dir, 40, 40, 6)
        self.misfit({"data.path": folder}, r"\[6, 6, 1\].*\[8, 8, 1\]|\[8, 8, 1\].*\[6, 6, 1\]")

    def test_label_beyond_the_model(self):
        """The data have a class that the model lacks; their owner did not say how many there are."""
        images, labels = fixtures.make_blobs(40, 3)
        labels[13] = 200
        folder = fixtures.write_images(self.world.dir / "data", "train", images, labels)
        self.misfit({"data.path": folder}, r"200|201")

    def test_memory_limit(self):
        self.misfit({"limits.max_memory": "100KB"}, "memory", {"model.name": "mlp", "model.layers": None})

    def test_diverging_training(self):
        """All clients fail to train; the round is given up, tried again, and nobody dies."""
        server = self.world.server({"federation.min_clients": 2, "training.learning_rate": 100, "training.epochs": 50,
                                    "training.loss": "mse", "model.classes": 1, "evaluation.path": None,
                                    "model.layers": [{"layer": "linear", "units": 1}], "model.example": [2]})
        table = self.world.dir / "table.csv"
        table.write_text("a,b,y\n" + "".join(f"{x},{3 * x},{x % 7}\n" for x in range(100)))
        clients = [self.world.client(f"c{i}", server, {
            "data.format": "csv", "data.path": table, "data.label_column": "y", "data.regression": True,
            "data.normalise": "none", "data.partition": "file", "data.clients": 1, "data.client": 0}) for i in range(2)]
        for client in clients:
            self.assert_fields(client.wait("failed", round=1), status="not_finite")
        self.assert_fields(server.wait("client_failed", node="c0"), status="not_finite", round=1)
        self.assertRegex(server.wait("round_abandoned")["reason"], "nobody is left to wait for with 0 of at least 1")
        server.wait("round_started", attempt=2)
        self.assertTrue(server.alive() and all(client.alive() for client in clients))


class ServerData(harness.Case):
    def refused(self, overrides, code, pattern):
        server = self.world.server(overrides, serving=False)
        self.assertEqual(server.exit(), code, server.text())
        self.assertRegex(server.find("failed")[-1]["reason"], pattern)

    def test_missing_test_set(self):
        self.refused({"evaluation.path": "/nowhere"}, 66, "evaluation.*/nowhere: no such file; check the dataset's path")

    def test_test_set_does_not_fit(self):
        self.refused({"evaluation.path": fixtures.blobs(harness.run.dir, 40, 40, 6)}, 65,
                     r"evaluation: .*\[6, 6, 1\].*\[8, 8, 1\]|evaluation: .*\[8, 8, 1\].*\[6, 6, 1\]")

    def test_initial_model_does_not_fit(self):
        path = self.world.dir / "initial.safetensors"
        header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
        self.refused({"model.initial": path}, 65, "initial.safetensors: ")
        path.write_bytes(b"\xff" * 100)
        self.refused({"model.initial": path}, 65, "initial.safetensors: ")
