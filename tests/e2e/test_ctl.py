"""The operator's command line."""
import json

import harness
from harness import call

CTL = "tributaryctl"


class Ctl(harness.Case):
    def test_codec_bench(self):
        """A table for people, JSON for scripts; the difference of two checkpoints of a run."""
        code, out, err = call(CTL, "codec-bench", "--synthetic", "20000", "--runs", "1", "--chain", "rotate|uniform:2|range",
                              "--chain", "f16", "--json")
        self.assertEqual((code, err), (0, ""))
        report = json.loads(out)
        self.assertEqual((report["n"], [one["chain"] for one in report["chains"]]),
                         (20000, ["rotate|uniform:2|range", "f16"]))
        two_bits = report["chains"][0]
        self.assertTrue(1.9 < two_bits["bits"] <= 2.01 and 0.08 < two_bits["nmse"] < 0.1, two_bits)
        self.assertTrue(two_bits["mean_nmse"] < two_bits["nmse"] and two_bits["encode_mbs"] > 0, two_bits)
        server = self.world.server({"federation.rounds": 2})
        client = self.world.client("c0", server)
        self.assertEqual((server.exit(), client.exit()), (0, 0))
        first, second = (self.world.dir / "state" / "models" / f"round-00000{number}.safetensors" for number in (1, 2))
        code, out, err = call(CTL, "codec-bench", "--model", second, "--base", first, "--chain", "q8")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"round-000002.safetensors - .*round-000001.safetensors: 1108 coordinates, kurtosis")
        self.assertRegex(out, r"(?m)^q8 +\d+\.\d+ +")

    def test_mistakes(self):
        for arguments, message in (
                ([], "tributaryctl: give a command"),
                (["codecbench"], 'no command "codecbench"; did you mean "codec-bench"?'),
                (["codec-bench", "--chians", "f16"], "--chians: unknown option; did you mean --chain?"),
                (["codec-bench", "--chain", "f16|rang"], 'codec "rang" is not known, did you mean "range"?'),
                (["codec-bench", "--chain", "range|f16"], "f16 (quantiser) cannot follow range (entropy coder)"),
                (["codec-bench", "--chain", "rotate|topk:1%|q8"], "topk picks single large values, which rotate spreads"),
                (["codec-bench", "--chain", "topk:1%"], "no quantiser; end with one"),
                (["codec-bench", "--chain", "topk:200%|q8"], "with a share above 0 and up to 1"),
                (["codec-bench", "--chain", "uniform:2.5"], "2.5 bits are a rate for an entropy coder: add |range"),
                (["codec-bench", "--chain", "trellis:2"], "its symbols are made for an entropy coder: add |range"),
                (["codec-bench", "--chain", "ternary:1%|q8"], "ternary and q8 are both a quantiser"),
                (["codec-bench", "--synthetic", "0"], "--synthetic: 0 is below the minimum 1"),
                (["codec-bench", "--model", "nowhere"], "nowhere: cannot open the checkpoint"),
                (["codec-bench", "--base", "x"], "--base is what --model is compared with: give both"),
                (["codec-bench", "--distribution", "cauchy"], "gaussian, laplace or student")):
            with self.subTest(arguments=arguments):
                code, out, err = call(CTL, *arguments)
                self.assertNotEqual(code, 0)
                self.assertEqual(out, "")
                self.assertIn(message, err)
