"""Updates that are not what they should be: in their chunks, in their frame, in their numbers. Each time the others'
round commits, mallory is told why, and the log names her."""
import math
import struct

import grpc

import wire
from hostile import CORRUPT, INVALID, LIMIT, MISMATCH, HostileCase


class Chunks(HostileCase):
    def bad_chunks(self, spoil, code, pattern, told=True, size=1000, log=None):
        """Offer a good update, spoil its chunks, send them."""
        with self.attack(rejected=1 if told else 0, late=0 if told else 1) as (node, session, task, model):
            frame = wire.make_frame([0.01] * model.n, model.schema)
            self.granted(session, task, frame)
            chunks = wire.cut(task, frame, size)
            spoilt = spoil(chunks)
            self.expect_call(lambda: node.upload(chunks if spoilt is None else spoilt), code, pattern)
            if told:
                self.rejected(session, task, pattern)
            self.named(log or pattern)

    def test_bit_flip(self):
        def spoil(chunks):
            payload = bytearray(chunks[1].payload)
            payload[500] ^= 0x10
            chunks[1].payload = bytes(payload)

        self.bad_chunks(spoil, CORRUPT, "chunk at offset 1000: checksum is [0-9a-f]+, expected [0-9a-f]+")

    def test_replayed_chunk(self):
        self.bad_chunks(lambda chunks: [chunks[0], chunks[1], chunks[1], *chunks[2:]], INVALID,
                        "chunk at offset 1000, expected 2000")

    def test_skipped_chunk(self):
        self.bad_chunks(lambda chunks: [chunks[0], *chunks[2:]], INVALID, "chunk at offset 2000, expected 1000")

    def test_wrong_content(self):
        """Every checksum is right, but it is not the blob that was offered."""
        def spoil(chunks):
            chunks[1].payload = bytes(1000)
            chunks[1].crc32c = wire.crc32c(chunks[1].payload)

        self.bad_chunks(spoil, CORRUPT, "SHA-256 is not the one that was announced")

    def test_another_blob(self):
        def spoil(chunks):
            chunks[0].sha256 = wire.sha256(b"another")

        self.bad_chunks(spoil, MISMATCH, "the chunk belongs to another blob")

    def test_another_length(self):
        def spoil(chunks):
            chunks[0].blob_len += 1

        self.bad_chunks(spoil, MISMATCH, r"blob length is \d+, expected \d+")

    def test_no_hash(self):
        def spoil(chunks):
            chunks[0].sha256 = b""

        self.bad_chunks(spoil, INVALID, "the first chunk lacks the blob's hash and length")

    def test_beyond_the_end(self):
        def spoil(chunks):
            chunks[-1].payload += b"more"
            chunks[-1].crc32c = wire.crc32c(chunks[-1].payload)

        self.bad_chunks(spoil, LIMIT, r"chunk runs past the end of the blob of \d+ bytes")

    def test_early_last(self):
        def spoil(chunks):
            chunks[1].last = True

        self.bad_chunks(spoil, CORRUPT, r"the last chunk ends at byte 2000 of \d+")

    def test_empty_chunk(self):
        def spoil(chunks):
            return [chunks[0], self.pb.Chunk(offset=1000), *chunks[1:]]

        self.bad_chunks(spoil, INVALID, "empty chunk at offset 1000")

    def test_garbage_chunk(self):
        self.bad_chunks(lambda chunks: [chunks[0], b"\xff" * 200], INVALID, "malformed chunk")

    def test_garbage_first_chunk(self):
        self.bad_chunks(lambda chunks: [b"\xff" * 200], INVALID, "malformed chunk")

    def test_oversize_chunk(self):
        def spoil(chunks):
            return [chunks[0], self.pb.Chunk(offset=1000, payload=bytes(wire.CHUNK + 1))]

        self.bad_chunks(spoil, LIMIT, "chunk payload of 1048577 bytes is above the limit of 1048576")

    def test_oversize_message(self):
        def spoil(chunks):
            return [chunks[0], self.pb.Chunk(offset=1000, payload=bytes(3 * wire.CHUNK))]

        self.bad_chunks(spoil, LIMIT, "(?i)larger than max", told=False, log="the connection broke|larger than max")

    def test_truncated(self):
        """It ends in good order, but before its last chunk."""
        self.bad_chunks(lambda chunks: chunks[:2], INVALID, "the upload ended before its last chunk")

    def test_nothing_sent(self):
        self.bad_chunks(lambda chunks: [], INVALID, "the upload ended before its last chunk")

    def test_another_round(self):
        def spoil(chunks):
            chunks[0].round += 1

        self.bad_chunks(spoil, MISMATCH, r'round \d+; granted was run "[0-9a-f]+" round \d+', told=False)

    def test_another_run(self):
        def spoil(chunks):
            chunks[0].run = "0123456789abcdef"

        self.bad_chunks(spoil, MISMATCH, 'upload for run "0123456789abcdef" round', told=False)

    def test_no_grant(self):
        with self.attack(late=1) as (node, _, task, model):
            frame = wire.make_frame([0.01] * model.n, model.schema)
            self.expect_call(lambda: node.upload(wire.cut(task, frame)), grpc.StatusCode.NOT_FOUND,
                             "no upload was granted to node mallory")
            self.named("no upload was granted")

    def test_twice(self):
        """An update that is in already cannot be sent again."""
        with self.attack(folded=3) as (node, session, task, model):
            frame = wire.make_frame([0.01] * model.n, model.schema)
            self.granted(session, task, frame)
            self.assertTrue(node.upload(wire.cut(task, frame)).accepted)
            self.expect_call(lambda: node.upload(wire.cut(task, frame)), grpc.StatusCode.NOT_FOUND,
                             "no upload was granted|mallory")


class Frames(HostileCase):
    def bad_frame(self, make, pattern):
        """The blob arrives whole; what it holds is refused."""
        with self.attack(rejected=1) as (node, session, task, model):
            frame = make(model)
            self.granted(session, task, frame)
            self.assertTrue(node.upload(wire.cut(task, frame)).accepted)
            self.rejected(session, task, pattern)
            self.named(pattern, "update_rejected")

    def values(self, model, at=700, value=0.0):
        values = [0.001] * model.n
        values[at] = value
        return wire.make_frame(values, model.schema)

    def test_nan(self):
        self.bad_frame(lambda model: self.values(model, value=math.nan), "a value is not finite")

    def test_infinity(self):
        self.bad_frame(lambda model: self.values(model, value=-math.inf), "a value is not finite")

    def test_huge_value(self):
        self.bad_frame(lambda model: self.values(model, value=1e30), "magnitude 1e\\+30, above strategy.max_abs 64")

    def test_norm(self):
        self.bad_frame(lambda model: wire.make_frame([1.0] * model.n, model.schema),
                       r"L2 norm is 3\d\.\d+, above strategy.max_norm 20")

    def test_schema(self):
        self.bad_frame(lambda model: wire.make_frame([0.0] * model.n, bytes(32)),
                       "frame: made for model schema 000000000000..., ours is [0-9a-f]{12}...")

    def test_too_few_elements(self):
        self.bad_frame(lambda model: wire.make_frame([0.0] * (model.n - 1), model.schema),
                       r"frame: \d+ elements; \d+ are expected")

    def test_claimed_elements(self):
        self.bad_frame(lambda model: wire.make_frame([0.0] * model.n, model.schema, claimed_n=2**39),
                       "frame: ")

    def test_zero_elements(self):
        self.bad_frame(lambda model: wire.make_frame([0.0] * model.n, model.schema, claimed_n=0), "holds no elements")

    def test_unknown_codec(self):
        self.bad_frame(lambda model: wire.make_frame([0.0] * model.n, model.schema, codec=77), "frame: codec stage number 77 is not known")

    def test_another_codec(self):
        def make(model):
            frame = bytearray(wire.make_frame([0.0] * model.n, model.schema, codec=wire.F16))
            struct.pack_into("<I", frame, 72, 2 * model.n)
            body = bytes(frame[:128 + 2 * model.n])
            return body + struct.pack("<I", wire.crc32c(body))

        self.bad_frame(make, "the update is coded as f16; the task asked for f32")

    def test_kind(self):
        self.bad_frame(lambda model: wire.make_frame([0.0] * model.n, model.schema, kind=wire.MODEL),
                       "frame: holds a model; an update is expected")

    def test_model_sent_back(self):
        """The very frame that was received."""
        with self.attack(rejected=1) as (node, session, task, _):
            frame = node.fetch(task.model)
            self.granted(session, task, frame)
            self.assertTrue(node.upload(wire.cut(task, frame)).accepted)
            self.rejected(session, task, "holds a model; an update is expected")

    def test_frame_checksum(self):
        def make(model):
            frame = bytearray(wire.make_frame([0.0] * model.n, model.schema))
            frame[1000] ^= 1
            return bytes(frame)

        self.bad_frame(make, "frame: (CRC is [0-9a-f]+, its bytes give [0-9a-f]+: it was changed on the way|.*)")

    def test_not_a_frame(self):
        self.bad_frame(lambda model: b"PK\x03\x04" + bytes(2000), 'frame: starts with 504b0304, not with "TRF1"')

    def test_future_version(self):
        self.bad_frame(lambda model: b"TRF2" + wire.make_frame([0.0] * model.n, model.schema)[4:],
                       "frame: format version 2; this build reads version 1")

    def test_cut(self):
        self.bad_frame(lambda model: wire.make_frame([0.0] * model.n, model.schema)[:1000], "it was cut")

    def test_one_byte(self):
        self.bad_frame(lambda model: b"T", "frame: 1 bytes are less than a header")

    def test_honest_after_all(self):
        """The same mallory with a sound update is served like any other."""
        with self.attack(folded=3, rejected=0) as (node, session, task, model):
            frame = wire.make_frame([0.001] * model.n, model.schema)
            self.granted(session, task, frame)
            self.assertTrue(node.upload(wire.cut(task, frame)).accepted)
            self.assertEqual(session.wait("outcome", round=task.round).kind, self.pb.Outcome.FOLDED)
