"""The kernel in real Jupyter: the protocol's own test suite, and what people do to kernels."""
import os
import random
import time
import unittest

import jupyter_kernel_test
from jupyter_client import KernelManager

SCALE = float(os.environ.get("KVNOTES_SOAK", "0.25"))  # 1 is the full soak


class Protocol(jupyter_kernel_test.KernelTests):
    """Every sample of jupyter_kernel_test."""

    kernel_name = "kvnotes"
    language_name = "go"
    file_extension = ".go"
    code_hello_world = 'import "fmt"\nfmt.Println("hello, world")'
    code_stderr = 'import "os"\nos.Stderr.WriteString("oops\\n")'
    completion_samples = [{"text": "display.Markdow", "matches": {"Markdown", "Markdowner"}}, {"text": "retur", "matches": {"return"}}, {"text": 'import "container/he', "matches": {"container/heap"}}]
    complete_code_samples = ["1+1", "x := 1", "for i := 0; i < 3; i++ {\n}", "%help", ""]
    incomplete_code_samples = ["for i := 0; i < 3; i++ {", "func f() {", "x := (1 +"]
    invalid_code_samples = ["x := )", "for for"]
    code_page_something = "display.HTML?"
    code_generate_error = 'panic("on purpose")'
    code_execute_result = [{"code": "6*7", "result": "42"}, {"code": '"a" + "b"', "result": "ab"}]
    code_display_data = [
        {"code": 'display.Show(display.HTML("<b>x</b>"))', "mime": "text/html"},
        {"code": 'display.Show(display.SVG("<svg></svg>"))', "mime": "image/svg+xml"},
        {"code": 'display.Show(display.Markdown("*x*"))', "mime": "text/markdown"},
        {"code": 'Display(display.HTML("<b>x</b>"))', "mime": "text/html"},
    ]
    code_history_pattern = "6*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "display.HTML"
    code_clear_output = "display.Clear(false)"


class Kernel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.manager = KernelManager(kernel_name="kvnotes")
        began = time.time()
        cls.manager.start_kernel()
        cls.client = cls.manager.client()
        cls.client.start_channels()
        cls.client.wait_for_ready(timeout=30)
        print(f"\nstart to first reply: {time.time() - began:.2f} s", flush=True)
        cls.run_cell('import ("fmt"; "os"; "time")')

    @classmethod
    def tearDownClass(cls):
        cls.client.stop_channels()
        cls.manager.shutdown_kernel()

    @classmethod
    def run_cell(cls, code, interrupt_after=None, timeout=60):
        """Runs a cell; returns the reply, and all output in order, up to idle."""
        sent = cls.client.execute(code)
        out, state = [], None
        if interrupt_after is not None:
            time.sleep(interrupt_after)
            cls.manager.interrupt_kernel()
        while state != "idle":
            m = cls.client.get_iopub_msg(timeout=timeout)
            if m["parent_header"].get("msg_id") != sent:
                continue
            if m["msg_type"] == "status":
                state = m["content"]["execution_state"]
            elif m["msg_type"] != "execute_input":
                out.append((m["msg_type"], m["content"]))
        while True:
            reply = cls.client.get_shell_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == sent:
                return reply["content"], out

    def text(self, code, **options):
        reply, out = self.run_cell(code, **options)
        self.assertEqual(reply["status"], "ok", reply)
        return "".join(c["text"] for kind, c in out if kind == "stream" and c["name"] == "stdout")

    def test_output_is_whole_and_in_order(self):
        for i in range(1000):
            n = random.randint(1, 30)
            got = self.text(f'for i := 0; i < {n}; i++ {{ fmt.Printf("{i}-%d ", i) }}')
            self.assertEqual(got, "".join(f"{i}-{j} " for j in range(n)))
        reply, out = self.run_cell('fmt.Print("a")\ndisplay.Show(display.HTML("b"))\nfmt.Print("c")\nos.Stdout.Write([]byte("d"))')
        kinds = [c["text"] if kind == "stream" else "<html>" for kind, c in out if kind != "execute_result"]
        self.assertEqual("".join(kinds), "a<html>cd")

    def test_system_commands_and_magics(self):
        self.assertEqual(self.text("$ echo from the shell; echo again"), "from the shell\nagain\n")
        self.assertEqual(self.text("%%bash\nfor i in 1 2; do echo $i; done"), "1\n2\n")
        self.assertIn("%time", self.text("%help"))
        self.run_cell("whom := 5")
        who = self.text("%who")
        self.assertRegex(who, r"(?m)^whom +int$")
        self.assertNotIn("·", who)
        reply, _ = self.run_cell("%nothing")
        self.assertEqual(reply["status"], "error")
        self.assertIn("%nothing", reply["evalue"])

    def test_errors_show_the_line(self):
        for code, want, line in [
            ("a1 := 1\nb1 := nosuch\n", "nosuch", "b1 := nosuch"),
            ('a2 := 1\npanic("boo")', "boo", 'panic("boo")'),
            ('import "no/such/package"', "no/such/package", "import"),
            ("var list []int\nlist[5]", "out of range", "list[5]"),
        ]:
            reply, out = self.run_cell(code)
            self.assertEqual(reply["status"], "error", code)
            self.assertIn(want, reply["evalue"])
            shown = "\n".join(reply["traceback"])
            self.assertIn(line, shown)
            self.assertIn("^", shown)
        self.assertEqual(self.text("fmt.Print(1 + 1)"), "2")

    def test_interrupts_keep_variables(self):
        for endless in ["for { kept++ }", "time.Sleep(time.Hour)", "for { time.Sleep(time.Millisecond); kept++ }"]:
            self.run_cell("kept := 1000")
            began = time.time()
            reply, _ = self.run_cell(endless, interrupt_after=0.3)
            self.assertLess(time.time() - began, 0.3 + 0.5, endless)
            self.assertEqual(reply["status"], "error", endless)
            self.assertGreaterEqual(int(self.text("fmt.Print(kept)")), 1000)

    def test_interrupt_stops_a_model(self):
        self.run_cell('import ("github.com/kvnotes/kvnotes/kvpress/llm"; "github.com/kvnotes/kvnotes/kvpress/cpu")')
        self.text('model, err := llm.Load("needle", cpu.New())\nfmt.Print(err)')
        began = time.time()
        reply, _ = self.run_cell("for { s, err := model.PrefillTokens(ctx, make([]int, 4000), llm.Full()); if err != nil { panic(err) }; s.Close() }", interrupt_after=0.5)
        self.assertLess(time.time() - began, 0.5 + 0.6)
        self.assertEqual(reply["status"], "error")
        self.assertEqual(self.text("fmt.Print(model.Name)"), "needle")

    def test_blocked_cells_are_left_behind(self):
        """A channel that nobody writes to cannot be stopped: cells go on beside it, and the second interrupt says so."""
        before = self.goroutines()
        self.run_cell("blocked := make(chan int)\nbeside := 5")
        reply, _ = self.run_cell("<-blocked", interrupt_after=0.2)
        self.assertIn("left behind", reply["evalue"])
        self.assertEqual(self.text("fmt.Print(beside)"), "5")
        self.manager.interrupt_kernel()  # now that nothing runs
        told = ""
        while "still inside" not in told:
            m = self.client.get_iopub_msg(timeout=10)
            told = m["content"].get("text", "") if m["msg_type"] == "stream" else ""
        self.assertIn("<-blocked", told)
        self.run_cell("close(blocked)")
        for _ in range(50):
            now = self.goroutines()
            if now <= before + 1:
                break
            time.sleep(0.05)
        self.assertLessEqual(now, before + 1)

    def test_input(self):
        """Both ways to ask for a line, and an interrupt instead of an answer."""
        for code, prompt in [("var line string\nfmt.Scanln(&line)\nfmt.Print(line)", ""), ('line, err := display.Input("name? ")\nfmt.Print(line, err)', "name? ")]:
            sent = self.client.execute(code, allow_stdin=True)
            asked = self.client.get_stdin_msg(timeout=10)
            self.assertEqual((asked["msg_type"], asked["content"]["prompt"]), ("input_request", prompt))
            self.client.input("Ada")
            text, state = "", None
            while state != "idle":
                m = self.client.get_iopub_msg(timeout=10)
                if m["parent_header"].get("msg_id") == sent:
                    state = m["content"].get("execution_state")
                    text += m["content"].get("text", "") if m["msg_type"] == "stream" else ""
            self.assertTrue(text.startswith("Ada"), text)
            self.client.get_shell_msg(timeout=10)
        began = time.time()
        reply, _ = self.run_cell('display.Input("never answered ")', interrupt_after=0.3)
        self.assertLess(time.time() - began, 1)

    def test_values_are_shown_usefully(self):
        self.run_cell('import "github.com/kvnotes/kvnotes/kvpress/tensor"\ntype pair struct { Name string; Took time.Duration }')
        for code, wants in [
            ('[]pair{{"a", 1500*time.Millisecond}, {"b", time.Minute}}', ["Name", "Took", "1.5s", "1m0s"]),
            ("tensor.New(300, 7)", ["300", "7"]),
            ("make([]int, 100000)", ["100000"]),
            ('fmt.Errorf("oh no")', ["oh no"]),
        ]:
            reply, out = self.run_cell(code)
            shown = "".join(str(c["data"].get("text/plain", "")) for kind, c in out if kind == "execute_result")
            for want in wants:
                self.assertIn(want, shown, code)
            self.assertLess(len(shown), 20000, code)
        reply, out = self.run_cell('for i := 0; i < 200000; i++ { fmt.Println("a long line of output, number", i) }')
        printed = "".join(c["text"] for kind, c in out if kind == "stream")
        self.assertLess(len(printed), 1.1 * 2**20)
        self.assertIn("bytes of output are left out here", printed)
        self.assertTrue(printed.startswith("a long line of output, number 0\n") and printed.endswith("number 199999\n"))

    def test_idle_interrupt_is_harmless(self):
        self.manager.interrupt_kernel()
        time.sleep(0.2)
        self.assertEqual(self.text("fmt.Print(7)"), "7")

    def test_silent_and_expressions(self):
        sent = self.client.execute("1 + 1", silent=True)
        reply = self.client.get_shell_msg(timeout=10)
        self.assertEqual(reply["parent_header"]["msg_id"], sent)
        sent = self.client.execute("e := 20", user_expressions={"double": "e*2", "bad": "nosuch"})
        reply = self.client.get_shell_msg(timeout=10)["content"]
        self.assertEqual(reply["user_expressions"]["double"]["data"]["text/plain"], "40")
        self.assertEqual(reply["user_expressions"]["bad"]["status"], "error")

    def test_a_failed_cell_aborts_what_waits(self):
        first = self.client.execute('time.Sleep(200*time.Millisecond)\npanic("stop")')
        second = self.client.execute("1")
        status = {}
        while len(status) < 2:
            m = self.client.get_shell_msg(timeout=10)
            status[m["parent_header"]["msg_id"]] = m["content"]["status"]
        self.assertEqual((status[first], status[second]), ("error", "aborted"))

    def test_completion_does_not_wait(self):
        sent = self.client.execute("time.Sleep(2*time.Second)")
        began = time.time()
        self.client.complete("fmt.Prin")
        m = self.client.get_shell_msg(timeout=10)
        self.assertEqual(m["msg_type"], "complete_reply")
        self.assertLess(time.time() - began, 1)
        while m["parent_header"]["msg_id"] != sent:
            m = self.client.get_shell_msg(timeout=10)

    def test_a_press_of_a_cell(self):
        self.run_cell('import ("github.com/kvnotes/kvnotes/kvpress"; "github.com/kvnotes/kvnotes/kvpress/llm"; "github.com/kvnotes/kvnotes/kvpress/cpu"; "github.com/kvnotes/kvnotes/kvpress/presstest"; "github.com/kvnotes/kvnotes/kvpress/tensor")')
        self.run_cell(
            "type Mine struct{ Sign float32 }\n"
            'func (m Mine) Name() string { return "mine" }\n'
            "func (m Mine) Score(l *kvpress.Layer) (kvpress.Scores, error) {\n"
            "\tn, err := l.KeyNorms()\n\tif err != nil { return kvpress.Scores{}, err }\n"
            "\ttensor.Scale(n.Data, m.Sign)\n\treturn kvpress.Scores{Values: n}, nil\n}"
        )
        self.assertEqual(
            self.text(
                'm2, err := llm.Load("needle", cpu.New())\nif err != nil { panic(err) }\n'
                "ids := make([]int, 200)\nfor i := range ids { ids[i] = 20 + i }\n"
                "s2, err := m2.PrefillTokens(ctx, ids, llm.Full())\nif err != nil { panic(err) }\n"
                "mine := kvpress.TopK(Mine{Sign: -1}, kvpress.Ratio(0.5))\nif err := presstest.Check(mine); err != nil { panic(err) }\n"
                'a, err := s2.Press(mine)\nif err != nil { panic(err) }\nk, err := kvpress.Parse("knorm:0.5")\nb, err := s2.Press(k)\nif err != nil { panic(err) }\n'
                "same := true\nfor l := 0; l < 6; l++ { for h := 0; h < 4; h++ { x, y := a.Kept(l, h), b.Kept(l, h); for i := range x { same = same && x[i] == y[i] } } }\n"
                "fmt.Println(same, a.PressName(), a.Lens()[0])"
            ),
            "true mine:0.5 [100 100 100 100]\n",
        )

    def goroutines(self):
        return int(self.text("%mem").split()[-2])

    def resident(self):
        """Megabytes of memory, after a collection."""
        self.run_cell('import "runtime/debug"\ndebug.FreeOSMemory()')
        with open(f"/proc/{self.manager.provisioner.process.pid}/status") as f:
            return next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmRSS"))

    def test_soak(self):
        """Cells, interrupts at random moments, comm messages during cells and broken messages: the kernel stays as it was."""
        self.run_cell("counter := 0")
        alive, before = 0, None
        send = self.client.shell_channel.send
        for i in range(int(2000 * SCALE)):
            if i == int(200 * SCALE):  # what is built once is built
                before = self.goroutines(), self.resident()
            alive += 1
            self.assertEqual(self.text("counter++\nfmt.Print(counter)"), str(alive))
            if i % 10 == 0:
                self.run_cell("for { }", interrupt_after=random.random() * 0.05 + 0.01)
            if i % 20 == 0:  # while a cell runs
                sent = self.client.execute("time.Sleep(5*time.Millisecond)\nfmt.Print(counter)")
                send(self.client.session.msg("comm_open", {"comm_id": f"soak{i}", "target_name": "nothing", "data": {}}))
                send(self.client.session.msg("comm_msg", {"comm_id": "nobody", "data": {"method": "update", "state": {"value": i}}}))
                text, state = "", None
                while state != "idle":
                    m = self.client.get_iopub_msg(timeout=20)
                    if m["parent_header"].get("msg_id") == sent:
                        state = m["content"].get("execution_state")
                        text += m["content"].get("text", "") if m["msg_type"] == "stream" else ""
                self.assertEqual(text, str(alive))
            if i % 40 == 0:
                for broken in ([b"x"], [b"<IDS|MSG>"], [b"<IDS|MSG>", b"00", b"{}", b"{}", b"{}", b"{}"], [b"<IDS|MSG>", b"", b"[", b"", b"", b""]):
                    self.client.shell_channel.socket.send_multipart(broken)
        after = self.goroutines(), self.resident()
        print(f"\nsoak of {alive} cells: goroutines {before[0]} -> {after[0]}, memory {before[1]:.0f} -> {after[1]:.0f} MB", flush=True)
        self.assertLessEqual(after[0], before[0] + 3)
        self.assertLess(after[1], before[1] + 40)

    def test_round_trip(self):
        took = []
        for _ in range(200):
            began = time.time()
            self.run_cell("1+1")
            took.append(time.time() - began)
        median = sorted(took)[100]
        print(f"\n1+1 there and back: {1e3 * median:.2f} ms (median of 200)", flush=True)
        self.assertLess(median, 0.05)


if __name__ == "__main__":
    unittest.main(verbosity=1)
